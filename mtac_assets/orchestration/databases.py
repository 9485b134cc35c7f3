"""Where Dagster keeps runs, events and ticks: SQLite in the home, or the environment's PostgreSQL. Names them, and makes the tables.

Belongs here: the sections of `dagster.yaml`, and that tables are made by one process at a time. Whether what is there is whole and of
the right schema is `home_check`'s and `postgres_check`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance.files import write_atomic
from mtac_assets.provenance.turns import turn
from mtac_assets.services.database import asked, connected, url

if TYPE_CHECKING:
    from mtac_assets.spec.environment import Postgres
    from mtac_assets.spec.project import Project

DATABASES_MADE = ".databases-made"
SQLITE = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
TABLES = ("runs", "event_logs", "jobs", "alembic_version")
LOCK = 0x6D746163  # "mtac": who holds it makes Dagster's tables
STORAGES = {"run_storage": "Runs", "event_log_storage": "EventLog", "schedule_storage": "Schedules"}


def sections(project: Project) -> dict[str, Any]:
    """The sections of the instance's configuration that name its storages."""
    home = project.state.dagster.absolute()
    artifacts = {"local_artifact_storage": embedded("dagster._core.storage.root", "LocalArtifactStorage", home)}
    server = project.environment.server
    if server is None:
        return _sqlite(home) | artifacts
    fields = {
        "address": url(server.postgres, server.postgres.dagster_database),
        "password_file": server.postgres.password_file,
    }
    module = "mtac_assets.orchestration.postgres"
    return {
        section: {"module": module, "class": storage, "config": fields} for section, storage in STORAGES.items()
    } | artifacts


def create(project: Project, fill: Callable[[], None]) -> None:
    """Make Dagster's tables by `fill` where they are not there, one process at a time: two that make them together leave a
    database without its revision. Raises DatabaseDown, SecretMissing."""
    server = project.environment.server
    if server is not None:
        with _alone_on_postgres(server.postgres) as complete:
            if not complete:
                fill()
        return
    home = project.state.dagster.absolute()
    made = home / DATABASES_MADE

    def complete_here() -> bool:
        return made.exists() and all((home / name).exists() for name in SQLITE)

    if complete_here():
        return
    with turn(home / "create.lock"):
        if complete_here():
            return
        made.unlink(missing_ok=True)
        fill()
        write_atomic(made, b"")


def embedded(module: str, kind: str, folder: Path) -> dict[str, Any]:
    """A section for a storage that keeps its files in `folder`."""
    return {"module": module, "class": kind, "config": {"base_dir": str(folder)}}


def _sqlite(home: Path) -> dict[str, Any]:
    events = "mtac_assets.orchestration.event_log"
    return {
        "run_storage": embedded("dagster._core.storage.runs", "SqliteRunStorage", home / "history"),
        "event_log_storage": embedded(events, "BatchingSqliteEventLogStorage", home / "history" / "runs"),
        "schedule_storage": embedded("dagster._core.storage.schedules", "SqliteScheduleStorage", home / "schedules"),
    }


@contextmanager
def _alone_on_postgres(postgres: Postgres) -> Iterator[bool]:
    """Whether all tables are there; where not, held by nobody else until the block ends, on whatever host they run."""
    with connected(postgres, postgres.dagster_database, seconds=0) as opened:  # whoever is making them is waited for
        if _complete(opened):
            yield True
            return
        asked(opened, "select pg_advisory_lock(%s)", LOCK)  # released with the connection
        opened.commit()  # else what others made meanwhile stays unseen
        yield _complete(opened)


def _complete(opened: Any) -> bool:
    known = {name for (name,) in asked(opened, "select tablename from pg_tables where schemaname = 'public'")}
    return known.issuperset(TABLES) and bool(asked(opened, "select version_num from alembic_version"))
