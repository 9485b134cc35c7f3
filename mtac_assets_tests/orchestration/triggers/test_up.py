"""The real daemon, untouched: a file is dropped into the landing folder; the daemon is killed while it works."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from mtac_assets.data.partitions import present
from mtac_assets.orchestration.dead_runs import WRITER_TAG
from mtac_assets.orchestration.triggers.line_job import line_config
from mtac_assets.provenance import refs
from mtac_assets.spec.project import Project, find_project
from mtac_assets_tests import running
from mtac_assets_tests.running import Running, until
from mtac_assets_tests.tides import make_project, write_day

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(900)]
TIDES = "tides"
ATTEMPTS = 3
ARRIVAL = (
    f"arrival: {{active: true, every_seconds: 1, settle_seconds: 1, attempts: {ATTEMPTS}, backoff_minutes: 0.05}}\n"
)


@pytest.fixture
def landing(tmp_path: Path) -> Project:
    """Tides with its arrival sensor on and floods with its triggers on, an empty landing folder, ports of its own."""
    made = make_project(tmp_path / "coast")
    dataset, recipe = made.datasets()["tides"], made.recipes()["floods"]
    dataset.write_text(dataset.read_text() + ARRIVAL)
    recipe.write_text(recipe.read_text().replace("triggers:\n", "triggers:\n  active: true\n"))
    shutil.rmtree(made.root / "incoming")
    (made.root / "incoming").mkdir()
    return find_project(made.root)


@pytest.fixture
def up(landing: Project) -> Iterator[Running]:
    with running.running(landing) as made:
        made.start()
        yield made


def drop(project: Project, day: int, *, level_factor: float = 1.0) -> None:
    """As a careful producer does: written elsewhere, renamed into place."""
    elsewhere = project.root / "producer"
    elsewhere.mkdir(exist_ok=True)
    running.drop(write_day(elsewhere, date(2024, 1, day), level_factor=level_factor), project.root / "incoming")


def all_ended(runs: Sequence[dg.DagsterRun], number: int) -> bool:
    return len(runs) == number and all(run.is_finished for run in runs)


def test_files_that_land_while_nobody_looks(landing: Project, up: Running) -> None:
    dropped = time.time()
    drop(landing, 1)
    until(lambda: up.told(TIDES)["2024-01-01"] == 1, "the first day to be ingested")
    (record,) = up.instance.get_run_records(dg.RunsFilter(job_name="tides_ingest"))
    assert record.start_time is not None
    # How fast, at the default settings, is benchmarks/landing.py's to say: no test is timed.
    assert record.start_time >= dropped
    until((landing.state.features / "floods" / "2024-01-01.json").exists, "its features")
    stamp = json.loads((landing.state.data / "tides" / "2024-01-01.stamp.json").read_text())
    assert all(check["passed"] for check in stamp["checks"])

    drop(landing, 2, level_factor=100.0)
    until(lambda: up.check("landed", TIDES) is False, "the broken file to be refused")
    until(lambda: up.check("contract", TIDES) is False, "the contract's check to fail")
    # A check tells of the run that ended last: a further attempt beside the good day's run may be that one.
    until(lambda: all_ended(up.runs("tides_ingest"), 1 + ATTEMPTS), "the broken file to be given up")
    drop(landing, 3)
    until(lambda: up.told(TIDES)["2024-01-03"] == 1, "the day after it")
    until(lambda: up.check("contract", TIDES) is True, "the good day's check")
    until(lambda: up.check("landed", TIDES) is False, "the refused file to be still reported")
    assert sorted(present(landing.state.data, "tides")) == ["2024-01-01", "2024-01-03"]

    drop(landing, 2)
    until(lambda: up.told(TIDES)["2024-01-02"] == 1, "the mended file")
    until(lambda: up.check("landed", TIDES) is True, "nothing refused any more")


def test_a_sensor_that_is_switched_off_looks_no_more_until_it_is_switched_on(landing: Project, up: Running) -> None:
    """As the switch on Dagster's page does it."""
    until(lambda: up.sensor(f"{TIDES}_arrival")["ticks"] > 0, "a first tick")
    up.switch(f"{TIDES}_arrival", on=False)
    time.sleep(12)  # a tick that was under way ends; then two rounds of the daemon
    before = up.sensor(f"{TIDES}_arrival")
    drop(landing, 1)
    time.sleep(12)
    assert up.sensor(f"{TIDES}_arrival") == before
    assert before["status"] == "STOPPED"
    assert up.runs("tides_ingest") == []
    up.switch(f"{TIDES}_arrival", on=True)
    until(lambda: up.told(TIDES)["2024-01-01"] == 1, "the day that landed meanwhile")


def test_a_killed_daemon_loses_and_doubles_nothing(landing: Project, up: Running) -> None:
    for kill, day in enumerate((1, 4, 7)):
        for offset in range(3):
            drop(landing, day + offset)
        before = up.instance.get_runs_count()
        if kill:
            until(lambda before=before: up.instance.get_runs_count() > before, "a run to be asked for")
            time.sleep(kill * 1.5 - 1.5)  # once when it is just queued, once when it is at work
        else:
            time.sleep(3)
        up.daemon().kill()
    drop(landing, 10)
    days = [f"2024-01-{day:02d}" for day in range(1, 11)]
    until(lambda: set(up.told(TIDES)) == set(days), "every day to be ingested", seconds=240)
    until(
        lambda: up.instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])) == 0,
        "all runs to end",
    )
    time.sleep(15)  # two more ticks: nothing is asked for again
    assert up.told(TIDES) == Counter(days)
    assert sorted(present(landing.state.data, "tides")) == days
    git = ["git", "-C", str(landing.root), "ls-tree", "-r", "--name-only", "refs/mtac/data/tides"]
    committed = subprocess.run(git, check=True, capture_output=True, text=True).stdout
    assert all(f"{day}.json" in committed for day in days)


def test_a_line_of_a_person_whose_process_is_lost_is_started_again(tmp_path: Path) -> None:
    """Nobody asks for it again: Dagster's own run retry does, once the sensor has found its process gone."""
    project = make_project(tmp_path / "coast")
    with running.running(project) as up:
        up.start()
        first = up.launch("floods_line", line_config("floods", "2024-01-10"))
        until(lambda: WRITER_TAG in up.runs("floods_line")[0].tags, "the line to be at work", 120)
        os.kill(json.loads(up.runs("floods_line")[0].tags[WRITER_TAG])["pid"], signal.SIGKILL)
        assert up.ended(first) == [dg.DagsterRunStatus.FAILURE]
        until(lambda: len(up.runs("floods_line")) == 2, "the second run", 120)
        second = up.runs("floods_line")[0]
        assert second.parent_run_id == first
        assert up.ended(second.run_id) == [dg.DagsterRunStatus.SUCCESS]
        assert len(refs.list_models(project, "floods")) == 1
        inner = [run for run in up.instance.get_runs() if run.job_name != "floods_line"]
        assert all(run.parent_run_id is None for run in inner), "runs within the line are the line's to repeat"
        assert len(up.runs("floods_line")) == 2
