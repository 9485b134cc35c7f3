"""Dagster's databases in the state: are they whole, and of the schema that the installed Dagster writes?"""

import sqlite3
from pathlib import Path

import dagster._core.storage.event_log.sqlite as event_log
import dagster._core.storage.runs.sqlite as runs
import dagster._core.storage.schedules.sqlite as schedules
from dagster._core.storage.sql import check_alembic_revision, get_alembic_config
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project

STORAGES = {"history/runs.db": runs, "history/runs/index.db": event_log, "schedules/schedules.db": schedules}


def databases(project: Project) -> list[Path]:
    """Those that are there of the three that a home has; a run's own database is its run's matter."""
    return [path for name in STORAGES if (path := project.state.dagster / name).is_file()]


def problems_of(database: Path) -> list[Finding]:
    """What is wrong with one of `databases`."""
    try:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            (said,) = connection.execute("pragma quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        said = str(error)
    if said != "ok":
        return [
            Finding(
                f"the database is damaged: {said}",
                str(database),
                "a whole SQLite database",
                "move Dagster's folder away; no model is lost by it, refs, store and ledger have all of them",
            )
        ]
    module = next(module for name, module in STORAGES.items() if database.as_posix().endswith(name))
    assert module.__file__ is not None
    config = get_alembic_config(module.__file__)
    engine = create_engine(f"sqlite:///{database}", poolclass=NullPool)
    with engine.connect() as connection:
        has, wants = check_alembic_revision(config, connection)
    if has == wants:
        return []
    return [
        Finding(
            f"the database's schema is {has or 'unknown'}",
            str(database),
            f"{wants}, which the installed Dagster writes",
            "stop all services, back the folder up, then `dagster instance migrate`",
        )
    ]
