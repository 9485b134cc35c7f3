"""A run's database that began as a copy is what Dagster itself would have made, also where two processes begin it at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage

from mtac_assets.orchestration.event_log import BatchingSqliteEventLogStorage

LOOK = """
import sys
from mtac_assets.orchestration.event_log import BatchingSqliteEventLogStorage
storage = BatchingSqliteEventLogStorage(sys.argv[1])
for number in range(20):
    assert not storage.get_logs_for_run(f"run-{number}")
"""


def made(database: Path) -> tuple[list[tuple[str, str]], list[tuple[str]], str]:
    """Tables and indexes, the schema's revision, and the journal."""
    with sqlite3.connect(database) as connection:
        tables = connection.execute("select name, sql from sqlite_master order by name").fetchall()
        revision = connection.execute("select version_num from alembic_version").fetchall()
        (journal,) = connection.execute("pragma journal_mode").fetchone()
    return tables, revision, journal


def test_a_runs_database_is_what_dagster_makes(tmp_path: Path) -> None:
    theirs, ours = (
        SqliteEventLogStorage(str(tmp_path / "theirs")),
        BatchingSqliteEventLogStorage(str(tmp_path / "ours")),
    )
    for storage in (theirs, ours):
        assert not storage.get_logs_for_run("one")
    assert (tmp_path / "ours" / f"empty-{dg.__version__}").is_file()
    assert made(tmp_path / "ours" / "one.db") == made(tmp_path / "theirs" / "one.db")
    assert ours.get_all_run_ids() == ["one"]
    assert not list((tmp_path / "ours").glob(".*")), "no copy is left behind"


def test_without_an_empty_one_the_tables_are_made(tmp_path: Path) -> None:
    storage = BatchingSqliteEventLogStorage(str(tmp_path))
    (tmp_path / f"empty-{dg.__version__}").unlink()
    assert not storage.get_logs_for_run("one")
    assert made(tmp_path / "one.db")[1]


def test_processes_that_begin_the_same_runs_at_once_all_can(tmp_path: Path, root: Path) -> None:
    BatchingSqliteEventLogStorage(str(tmp_path))
    several = [subprocess.Popen([sys.executable, "-c", LOOK, str(tmp_path)], cwd=root) for _ in range(3)]
    assert [process.wait(120) for process in several] == [0, 0, 0]
    assert len(list(tmp_path.glob("run-*.db"))) == 20
    assert not list(tmp_path.glob(".run-*"))
