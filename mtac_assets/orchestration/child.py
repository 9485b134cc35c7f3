"""A step's own process through Pipes: its log lines appear in the run while it works, and its end is judged here.

The floors below start the process and know nothing of Dagster; here is what Dagster adds: the session, and the retry of a
training that something outside it ended.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg

MOST_RETRIES = 2
RETRY_SECONDS = 5


@contextmanager
def pipes_environment(context: dg.AssetExecutionContext) -> Iterator[Mapping[str, str]]:
    """The environment variables by which a child process finds its Pipes session; its messages are read meanwhile."""
    with dg.open_pipes_session(context, dg.PipesEnvContextInjector(), dg.PipesTempFileMessageReader()) as session:
        yield session.get_bootstrap_env_vars()


@contextmanager
def retried_where_killed(context: dg.AssetExecutionContext, limit_seconds: int) -> Iterator[None]:
    """Ask for another attempt where the trainer was stopped or killed from outside: it goes on from its checkpoint.

    Any other failure would come again with the same input, and a run that has used up its time gets no more of it.
    """
    from mtac_assets.training.errors import TrainerKilled, TrainingStopped

    try:
        yield
    except (TrainerKilled, TrainingStopped) as error:
        started = context.instance.get_run_stats(context.run_id).start_time
        if started is None or time.time() - started >= limit_seconds or context.retry_number >= MOST_RETRIES:
            raise
        context.log.warning(f"attempt {context.retry_number + 1} ended early, the next one resumes: {error}")
        raise dg.RetryRequested(max_retries=MOST_RETRIES, seconds_to_wait=RETRY_SECONDS) from error
