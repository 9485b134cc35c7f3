"""A step's own process through Pipes: its log lines appear in the run while it works, and its end is judged here.

The floors below start the process and know nothing of Dagster; here is what Dagster adds: the session, and the retry of a
training that something outside it ended.
"""

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
def retried_where_killed() -> Iterator[None]:
    """Ask for another attempt where the trainer was stopped or killed from outside: it resumes from its checkpoint.

    Any other failure would come again with the same input, and is not retried.
    """
    from mtac_assets.training.launch import TrainerStopped

    try:
        yield
    except TrainerStopped as error:
        raise dg.RetryRequested(max_retries=MOST_RETRIES, seconds_to_wait=RETRY_SECONDS) from error
