"""The real daemon, untouched: a file is dropped into the landing folder; the daemon is killed while it works."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from mtac_assets.data.partitions import present
from mtac_assets.orchestration.instance import COMMAND_LINE_CONFIG
from mtac_assets.spec.project import Project, find_project
from mtac_assets_tests.free_ports import free_port
from mtac_assets_tests.services.test_local import start_up, until_up, using
from mtac_assets_tests.tides import make_project, write_day

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(600)]
TIDES = dg.AssetKey(["tides"])
ARRIVAL = "arrival: {active: true, every_seconds: 1, settle_seconds: 1, attempts: 3, backoff_minutes: 0.05}\n"


@pytest.fixture
def landing(tmp_path: Path) -> Project:
    """Tides with its arrival sensor on and floods with its triggers on, an empty landing folder, ports of its own."""
    made = make_project(tmp_path / "coast")
    dataset, recipe = made.datasets()["tides"], made.recipes()["floods"]
    dataset.write_text(dataset.read_text() + ARRIVAL)
    recipe.write_text(recipe.read_text().replace("triggers:\n", "triggers:\n  active: true\n"))
    environment = made.environments / "local.yaml"
    ports = f"ports: {{webserver: {free_port()}, mlflow: {free_port()}}}\n"
    environment.write_text(environment.read_text() + ports)
    (made.root / "workspace.yaml").write_text(f"load_from: [{{python_module: {made.package}.definitions}}]\n")
    shutil.rmtree(made.root / "incoming")
    (made.root / "incoming").mkdir()
    return find_project(made.root)


@pytest.fixture
def up(landing: Project) -> Iterator[subprocess.Popen[str]]:
    with start_up(landing) as process:
        try:
            until_up(process)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            finally:
                process.kill()
                for left in using(landing.root):
                    left.kill()


@pytest.fixture
def looked(landing: Project, up: subprocess.Popen[str]) -> Iterator[dg.DagsterInstance]:
    """The daemon's own instance, to look into."""
    with dg.DagsterInstance.from_config(str(landing.state.dagster), COMMAND_LINE_CONFIG) as opened:
        yield opened


def until(holds: Callable[[], bool], what: str, seconds: float = 120.0) -> float:
    """Seconds until `holds`."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)
    return time.monotonic() - began


def drop(project: Project, day: int, *, level_factor: float = 1.0) -> None:
    """As a careful producer does: written elsewhere, renamed into place."""
    elsewhere = project.root / "producer"
    elsewhere.mkdir(exist_ok=True)
    made = write_day(elsewhere, date(2024, 1, day), level_factor=level_factor)
    made.rename(project.root / "incoming" / made.name)


def told(instance: dg.DagsterInstance) -> Counter[str]:
    """How often each partition was materialised."""
    records = instance.fetch_materializations(TIDES, limit=1000).records
    return Counter(str(record.partition_key) for record in records)


def check_passed(instance: dg.DagsterInstance, name: str) -> bool | None:
    key = dg.AssetCheckKey(TIDES, name)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
    if record is None or record.status == AssetCheckExecutionRecordStatus.PLANNED:
        return None
    return record.status == AssetCheckExecutionRecordStatus.SUCCEEDED


def daemon_of(project: Project) -> psutil.Process:
    (found,) = [
        process
        for process in using(project.root)
        if re.search(r"-m dagster\._daemon run", " ".join(process.cmdline()))
        and "guard" not in " ".join(process.cmdline())
    ]
    return found


def test_files_that_land_while_nobody_looks(landing: Project, looked: dg.DagsterInstance) -> None:
    dropped = time.time()
    drop(landing, 1)
    until(lambda: told(looked)["2024-01-01"] == 1, "the first day to be ingested")
    (record,) = looked.get_run_records(dg.RunsFilter(job_name="tides_ingest"))
    assert record.start_time is not None
    latency = record.start_time - dropped
    print(f"landing to the start of its run: {latency:.1f} s")
    assert latency < 20  # the promise of 10 s is measured in benchmarks, on a machine that is not busy with tests
    until((landing.state.features / "floods" / "2024-01-01.json").exists, "its features")
    stamp = json.loads((landing.state.data / "tides" / "2024-01-01.stamp.json").read_text())
    assert all(check["passed"] for check in stamp["checks"])

    drop(landing, 2, level_factor=100.0)
    until(lambda: check_passed(looked, "landed") is False, "the broken file to be refused")
    until(lambda: check_passed(looked, "contract") is False, "the contract's check to fail")
    drop(landing, 3)
    until(lambda: told(looked)["2024-01-03"] == 1, "the day after it")
    until(lambda: check_passed(looked, "contract") is True, "the good day's check")
    until(lambda: check_passed(looked, "landed") is False, "the refused file to be still reported")
    assert sorted(present(landing.state.data, "tides")) == ["2024-01-01", "2024-01-03"]

    drop(landing, 2)
    until(lambda: told(looked)["2024-01-02"] == 1, "the mended file")
    until(lambda: check_passed(looked, "landed") is True, "nothing refused any more")


def test_a_killed_daemon_loses_and_doubles_nothing(landing: Project, looked: dg.DagsterInstance) -> None:
    for kill, day in enumerate((1, 4, 7)):
        for offset in range(3):
            drop(landing, day + offset)
        before = looked.get_runs_count()
        if kill:
            until(lambda before=before: looked.get_runs_count() > before, "a run to be asked for")
            time.sleep(kill * 1.5 - 1.5)  # once when it is just queued, once when it is at work
        else:
            time.sleep(3)
        daemon_of(landing).kill()
    drop(landing, 10)
    days = [f"2024-01-{day:02d}" for day in range(1, 11)]
    until(lambda: set(told(looked)) == set(days), "every day to be ingested", seconds=240)
    until(lambda: looked.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])) == 0, "all runs to end")
    time.sleep(15)  # two more ticks: nothing is asked for again
    assert told(looked) == Counter(days)
    assert sorted(present(landing.state.data, "tides")) == days
    git = ["git", "-C", str(landing.root), "ls-tree", "-r", "--name-only", "refs/mtac/data/tides"]
    committed = subprocess.run(git, check=True, capture_output=True, text=True).stdout
    assert all(f"{day}.json" in committed for day in days)
