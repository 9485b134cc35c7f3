"""Dagster's storage for thousands of small runs in one process: the same tables, one file for all runs, connections kept.

Dagster's default makes a database for each run (0.2 s) and opens a connection for each event. What is lost with it: syncing each
event to the disk. A killed process loses nothing by that; a machine that loses its power may lose a replay, which can be played again.
A run's events are written together, before anything is read and before the run starts or ends: a killed process loses some of a run
that did not end, and such a run is played again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS
from dagster._core.storage.event_log.schema import AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.consolidated_sqlite_event_log import ConsolidatedSqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine

if TYPE_CHECKING:
    from dagster import EventLogEntry

BUSY_SECONDS = 60


class OneFileEventLog(ConsolidatedSqliteEventLogStorage):
    """`ConsolidatedSqliteEventLogStorage`, same file and tables, over connections that are kept. Safe between threads."""

    _writing: Connection | None = None  # what the events that were held are being written to

    @cached_property
    def _kept(self) -> Engine:
        return _engine(self._conn_string)

    @cached_property
    def _lock(self) -> threading.RLock:
        return threading.RLock()

    @cached_property
    def _held(self) -> list[EventLogEntry]:
        """Events of runs that are under way, in order, not written yet."""
        return []

    def store_event(self, event: EventLogEntry) -> None:
        with self._lock:
            self._held.append(event)
            step = event.dagster_event
            if not event.run_id or (step is not None and step.is_job_event):
                self._write_held()

    def _write_held(self) -> None:
        """All that is held, in one transaction: whole or not at all."""
        with self._lock:
            if not self._held:
                return
            with self._kept.connect() as connection, connection.begin():
                self._writing = connection
                try:
                    for alone, events in groupby(self._held, _is_kept_elsewhere_too):
                        if alone:
                            for event in events:
                                super().store_event(event)
                        else:
                            rows = [self._event_to_row(event) for event in events]
                            connection.execute(SqlEventLogStorageTable.insert(), rows)
                finally:
                    self._writing = None
            self._held.clear()

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with self._lock:
            writing = self._writing  # ours: nobody else has the lock meanwhile
            if writing is None:
                self._write_held()
        if writing is not None:
            yield writing
            return
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

    def has_asset_key_col(self, column_name: str) -> bool:
        """Of a table that this process has made or brought up to date; Dagster asks for it at each event of an asset."""
        return column_name in AssetKeyTable.c

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        return self.has_asset_key_col(column_name)

    def dispose(self) -> None:
        self._write_held()
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

    def _has_snapshot_id(self, snapshot_id: str) -> bool:
        if snapshot_id not in self._snapshots and not super()._has_snapshot_id(snapshot_id):
            return False
        self._snapshots.setdefault(snapshot_id)
        return True

    def _get_snapshot(self, snapshot_id: str) -> Any:
        if self._snapshots.get(snapshot_id) is None:
            found = super()._get_snapshot(snapshot_id)
            if found is None:
                return None
            self._snapshots[snapshot_id] = found
        return self._snapshots[snapshot_id]

    @cached_property
    def _snapshots(self) -> dict[str, Any]:
        """Snapshots that were seen, read or not (None). Each is named by its content; Dagster asks for the same ones at each run."""
        return {}

    def dispose(self) -> None:
        self._kept.dispose()


def storages(home: Path) -> dict[str, Any]:
    """The sections of an instance's configuration that name these storages."""
    return {
        "run_storage": _section(OneFileRuns, home / "replay"),
        "event_log_storage": _section(OneFileEventLog, home / "replay"),
    }


def _is_kept_elsewhere_too(event: EventLogEntry) -> bool:
    """Whether Dagster notes it in other tables as well, under the number that it gets in this one."""
    return event.dagster_event_type in ASSET_EVENTS or event.dagster_event_type in ASSET_CHECK_EVENTS


def _section(storage: type, folder: Path) -> dict[str, Any]:
    return {"module": __name__, "class": storage.__name__, "config": {"base_dir": str(folder)}}


def _engine(address: str) -> Engine:
    made = create_engine(address, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(made, "connect")
    def _unsynced(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")

    return made
