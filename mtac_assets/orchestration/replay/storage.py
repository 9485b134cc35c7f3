"""Dagster's storage for thousands of small runs in one process: the same tables, one file for all runs, connections kept.

Dagster's default makes a database for each run (0.2 s) and opens a connection for each event. What is lost with it: syncing each
event to the disk. A killed process loses nothing by that; a machine that loses its power may lose a replay, which can be played again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine

BUSY_SECONDS = 60


class OneFileEventLog(ConsolidatedSqliteEventLogStorage):
    """`ConsolidatedSqliteEventLogStorage`, same file and tables, over connections that are kept."""

    @cached_property
    def _kept(self) -> Engine:
        return _engine(self._conn_string)

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._kept.connect() as connection, connection.begin():
            yield connection

    def has_table(self, table_name: str) -> bool:
        if table_name not in self._there:
            if not super().has_table(table_name):
                return False
            self._there.add(table_name)
        return True

    @cached_property
    def _there(self) -> set[str]:
        """Tables that were seen; Dagster asks the database for them at each event of a check."""
        return set()

    def dispose(self) -> None:
        super().dispose()
        self._kept.dispose()


class OneFileRuns(SqliteRunStorage):
    """`SqliteRunStorage`, same file and tables, over connections that are kept."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> OneFileRuns:
        return cls.from_local(inst_data=inst_data, **config_value)

    @cached_property
    def _kept(self) -> Engine:
        return _engine(self._conn_string)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with self._kept.connect() as connection, connection.begin():
            yield connection

    def has_run_stats_index_cols(self) -> bool:
        return self._has_run_stats

    @cached_property
    def _has_run_stats(self) -> bool:
        """Columns of a table that this process has made or brought up to date; Dagster asks for them with each list of runs."""
        return super().has_run_stats_index_cols()

    def dispose(self) -> None:
        self._kept.dispose()


def storages(home: Path) -> dict[str, Any]:
    """The sections of an instance's configuration that name these storages."""
    return {
        "run_storage": _section(OneFileRuns, home / "replay"),
        "event_log_storage": _section(OneFileEventLog, home / "replay"),
    }


def _section(storage: type, folder: Path) -> dict[str, Any]:
    return {"module": __name__, "class": storage.__name__, "config": {"base_dir": str(folder)}}


def _engine(address: str) -> Engine:
    made = create_engine(address, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(made, "connect")
    def _unsynced(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")

    return made
