"""From a file in the landing folder to the start of the run that reads it: `mtac up` as a user has it, at the default settings."""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figure import Figure

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets_tests.running import Running

FILES = 9
TARGET_SECONDS = 10.0
PAUSES = (0.0, 1.7, 3.1)  # so that files land at any moment of the daemon's round


def measure() -> list[Figure]:
    """One file at a time; the next one lands once the run of the one before has ended, so that no run waits for another."""
    from mtac_assets.spec.project import find_project
    from mtac_assets_tests import running
    from mtac_assets_tests.tides import make_project

    with tempfile.TemporaryDirectory(prefix="mtac-bench-") as folder:
        made = make_project(Path(folder) / "coast")
        dataset = made.datasets()["tides"]
        dataset.write_text(dataset.read_text() + "arrival: {active: true}\n")
        for file in (made.root / "incoming").iterdir():
            file.unlink()
        project = find_project(made.root)
        with running.running(project) as up:
            up.start()
            _landed(project, up, 1)  # the code location's first run pays for what is loaded once
            seconds = []
            for n in range(FILES):
                time.sleep(PAUSES[n % len(PAUSES)])
                seconds.append(_landed(project, up, n + 2))
    worst = max(seconds)
    return [
        Figure(
            "a file lands, to the start of its run",
            statistics.median(seconds),
            "s",
            at_most=TARGET_SECONDS,
            detail=f"median of {FILES}, at the default settings of `arrival`",
        ),
        Figure(
            "the slowest of them", worst, "s", at_most=TARGET_SECONDS, detail=", ".join(f"{s:.1f}" for s in seconds)
        ),
    ]


def _landed(project: Project, up: Running, number: int) -> float:
    """Seconds from the file's rename into the folder to the start of its run, by the same clock."""
    from mtac_assets_tests import running
    from mtac_assets_tests.tides import write_day

    elsewhere = project.root / "producer"
    elsewhere.mkdir(exist_ok=True)
    made = write_day(elsewhere, date(2024, 1, number))
    known = {run.run_id for run in up.runs("tides_ingest")}
    running.drop(made, project.root / "incoming")
    dropped = time.time()
    running.until(lambda: bool(_new(up, known)), "a run to be asked for")
    (run_id,) = _new(up, known)
    running.until(lambda: up.told("tides")[f"2024-01-{number:02d}"] == 1, "the day")
    up.ended(run_id)
    record = up.instance.get_run_record_by_id(run_id)
    assert record is not None
    assert record.start_time is not None
    return record.start_time - dropped


def _new(up: Running, known: set[str]) -> list[str]:
    return [run.run_id for run in up.runs("tides_ingest") if run.run_id not in known]
