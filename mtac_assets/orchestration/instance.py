"""Dagster's home: its configuration, written from the environment, and the instance that opens it.

`dagster.yaml` is for the web server, the daemon and the runs they launch. `command-line.yaml` opens the same databases for
`mtac run`, without capturing a step's standard output: that costs four processes a step and swallows the terminal's bar.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.orchestration import databases
from mtac_assets.orchestration.jobs import TRAINING_POOL
from mtac_assets.provenance.files import write_atomic

if TYPE_CHECKING:
    import dagster as dg

    from mtac_assets.spec.project import Project

BATCH_SIZE_VARIABLE = "DAGSTER_EVENT_BATCH_SIZE"
BATCH_SIZE = 1000
CONCURRENT_RUNS = 4
START_SECONDS = 90  # a run whose process never came to life is failed then, and what it was to do is asked for again
MONITOR_SECONDS = 15
FREE_SLOTS_SECONDS = 30
RETRIES = 2  # of a run whose process or machine was lost; what failed by itself is not tried again unasked
DEQUEUE_SECONDS = 1  # Dagster's own five would be half of what a file may wait between landing and its run
SERVER_CONFIG = "dagster.yaml"
COMMAND_LINE_CONFIG = "command-line.yaml"
OTHER_STORAGES_CONFIG = "other-storages.yaml"
NO_CAPTURED_LOGS = {"module": "dagster.core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
KEEP_TICKS_DAYS = {"skipped": 7, "failure": 30, "success": 90}


def environment_variables(project: Project) -> dict[str, str]:
    """What a process that speaks to this project's Dagster needs in its environment."""
    return {
        "DAGSTER_HOME": str(project.state.dagster.absolute()),
        BATCH_SIZE_VARIABLE: str(BATCH_SIZE),
        "APP_ENV": project.environment.name,
    }


def prepare_dagster_home(project: Project) -> Path:
    """Make DAGSTER_HOME fit the environment's limits; files that are right already are not touched."""
    home = _write_configurations(project)
    with ExitStack() as stack:
        databases.create(project, lambda: _make_tables(project, _open(stack, home)))
    return home


_opened: dict[Path, dg.DagsterInstance] = {}


@contextmanager
def instance(project: Project, storages: Mapping[str, Any] | None = None) -> Iterator[dg.DagsterInstance]:
    """The project's Dagster instance, as the command line uses it; events of many partitions are stored in batches.

    Within the block the same instance is given to whoever in this process asks again: a line that a run starts, say. `storages`:
    sections of the configuration that replace the embedded ones.
    """
    home = _write_configurations(project)
    if home in _opened:
        yield _opened[home]
        return
    with _batches(), ExitStack() as stack:
        made: list[dg.DagsterInstance] = []

        def fill() -> None:
            made.append(_open(stack, home))
            _make_tables(project, made[0])

        databases.create(project, fill)
        if storages is not None:
            document = configuration(project) | {"compute_logs": NO_CAPTURED_LOGS} | dict(storages)
            _write(home / OTHER_STORAGES_CONFIG, document)
            opened = _open(stack, home, OTHER_STORAGES_CONFIG)
        else:  # to open one more on the first day would read all of Dagster's migrations again
            opened = made[0] if made else _open(stack, home)
        limit_trainings(opened, project.environment.limits.concurrent_trainings)
        _opened[home] = opened
        stack.callback(_opened.pop, home)
        yield opened


def _open(stack: ExitStack, home: Path, file: str = COMMAND_LINE_CONFIG) -> dg.DagsterInstance:
    import dagster as dg

    return stack.enter_context(dg.DagsterInstance.from_config(str(home), file))


def _make_tables(project: Project, opened: dg.DagsterInstance) -> None:
    limit_trainings(opened, project.environment.limits.concurrent_trainings)
    opened.all_instigator_state()
    opened.get_runs_count()


def _write_configurations(project: Project) -> Path:
    home = project.state.dagster.absolute()
    home.mkdir(parents=True, exist_ok=True)
    _write(home / SERVER_CONFIG, configuration(project) | {"compute_logs": _captured_logs(home)})
    _write(home / COMMAND_LINE_CONFIG, configuration(project) | {"compute_logs": NO_CAPTURED_LOGS})
    return home


@contextmanager
def _batches() -> Iterator[None]:
    """Events are stored in batches by what is opened within the block; the variable is ours no longer than that."""
    before = os.environ.get(BATCH_SIZE_VARIABLE)
    os.environ[BATCH_SIZE_VARIABLE] = str(BATCH_SIZE)
    try:
        yield
    finally:
        if before is None:
            del os.environ[BATCH_SIZE_VARIABLE]
        else:
            os.environ[BATCH_SIZE_VARIABLE] = before


def limit_trainings(opened: dg.DagsterInstance, limit: int) -> None:
    """Set how many steps of the training pool may run at a time; pools' limits live in the database, not in a file."""
    storage = opened.event_log_storage
    known = {pool.name: pool.limit for pool in storage.get_pool_limits()}
    if known.get(TRAINING_POOL) != limit:
        storage.set_concurrency_slots(TRAINING_POOL, limit)


def configuration(project: Project) -> dict[str, Any]:
    """The instance's configuration, without its log capture."""
    limits = project.environment.limits
    ticks = {"purge_after_days": KEEP_TICKS_DAYS}
    return {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        **databases.sections(project),
        "concurrency": {
            "pools": {"default_limit": limits.concurrent_trainings, "granularity": "op"},
            "runs": {"max_concurrent_runs": CONCURRENT_RUNS},
        },
        "run_coordinator": {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
            # A launch takes until the run's process has loaded: one after the other, a core would wait for it.
            "config": {
                "dequeue_interval_seconds": DEQUEUE_SECONDS,
                "dequeue_use_threads": True,
                "dequeue_num_workers": CONCURRENT_RUNS,
            },
        },
        "run_monitoring": {
            "enabled": True,
            "max_runtime_seconds": limits.run_seconds,
            "start_timeout_seconds": START_SECONDS,
            "poll_interval_seconds": MONITOR_SECONDS,
            # Without it, a killed training would keep its place in the pool for ever.
            "free_slots_after_run_end_seconds": FREE_SLOTS_SECONDS,
        },
        "run_retries": {"enabled": True, "max_retries": RETRIES, "retry_on_asset_or_op_failure": False},
        "retention": {"schedule": ticks, "sensor": ticks},
    }


def _captured_logs(home: Path) -> dict[str, Any]:
    return databases.embedded(
        "dagster._core.storage.local_compute_log_manager", "LocalComputeLogManager", home / "storage"
    )


def _write(path: Path, document: dict[str, Any]) -> None:
    import yaml

    note = "# Written by mtac from environments/*.yaml: a change here is lost at the next start.\n"
    content = (note + yaml.safe_dump(document, sort_keys=False)).encode()
    if not path.exists() or path.read_bytes() != content:
        write_atomic(path, content)
