"""What watching a landing folder costs: a tick that finds nothing on 10,000 files, and one that finds a single new file."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.figure import Figure, timed

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

FILES = 10_000
TICKS = 21
LONG_AGO = 1_600_000_000
TARGET_MS = 50.0


def measure() -> list[Figure]:
    """All days ingested and told to Dagster by one real run, then real ticks of the sensor in this process."""
    from mtac_assets_tests.tides import make_project

    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder))
        sys.path.insert(0, str(project.root))
        try:
            return _measure(project)
        finally:
            sys.path.remove(str(project.root))


def _measure(project: Project) -> list[Figure]:
    import dagster as dg

    from mtac_assets.orchestration.execute import execute, partition_tags
    from mtac_assets.orchestration.instance import instance
    from mtac_assets.orchestration.repository import load_repository
    from mtac_assets.orchestration.settings import run_config

    last = date.today() - timedelta(days=2)
    first = last - timedelta(days=FILES - 1)
    _prepare(project, first, last)
    repository = load_repository(project)
    sensor = repository.get_sensor_def("tides_arrival")
    with instance(project) as opened:
        keys = [(first + timedelta(days=n)).isoformat() for n in range(FILES)]
        quiet = {"loggers": run_config()["loggers"]}
        job = repository.get_job("tides_ingest")
        made = timed(lambda: execute(project, opened, job, tags=partition_tags(keys, ranged=True), run_config=quiet))
        _settle(project)
        cursor: str | None = None

        def tick() -> dg.SensorExecutionData:
            nonlocal cursor
            found = sensor.evaluate_tick(
                dg.build_sensor_context(instance=opened, cursor=cursor, repository_def=repository)
            )
            cursor = found.cursor or cursor
            return found

        begin = timed(lambda: _require(not tick().run_requests, "a fresh daemon found work"))
        began = time.process_time()
        nothing = [timed(lambda: _require(not tick().run_requests, "a tick found work")) for _ in range(TICKS)]
        processor = (time.process_time() - began) / TICKS
        _file(project.root / "incoming", last + timedelta(days=1))
        one = timed(lambda: _require(len(tick().run_requests or []) == 1, "the new file was not found"))
        listing = median(timed(lambda: _listing(project.root / "incoming")) for _ in range(TICKS))
    worst = max(nothing)
    return [
        Figure(
            f"a tick that finds nothing, {FILES:,} files",
            median(nothing) * 1e3,
            "ms",
            at_most=TARGET_MS,
            detail=f"median of {TICKS}, slowest {worst * 1e3:.0f} ms, processor time {processor * 1e3:.0f} ms; listing with a stat a file alone {listing * 1e3:.0f} ms",
        ),
        Figure("the first tick of a new daemon", begin, "s", detail=f"{FILES:,} manifests, stamps and events compared"),
        Figure("a tick that finds one new file", one * 1e3, "ms", detail=f"among {FILES:,}"),
        Figure(
            f"ingesting {FILES:,} small days in one run", made, "s", detail="read, judged, versioned, told to Dagster"
        ),
    ]


def _prepare(project: Project, first: date, last: date) -> None:
    dataset = project.datasets()["tides"]
    text = dataset.read_text()
    text = text.replace("start: 2024-01-01, end: 2024-01-14", f"start: {first}").replace("min: 50", "min: 1")
    dataset.write_text(text + "arrival: {settle_seconds: 0}\n")
    recipe = project.recipes()["floods"]
    recipe.unlink()
    (recipe.parent / "defs.yaml").unlink()
    incoming = project.root / "incoming"
    for file in incoming.iterdir():
        file.unlink()
    for n in range((last - first).days + 1):
        path = _file(incoming, first + timedelta(days=n))
        os.utime(path, (LONG_AGO, LONG_AGO))  # nearly all files of a folder that has 10,000 are old


def _file(folder: Path, day: date) -> Path:
    rows = [f"{day.toordinal()}{hour},{day},{day}T0{hour}:00:00+00:00,{hour}.5,north,{hour % 2}" for hour in range(2)]
    path = folder / f"tides-{day}.csv"
    path.write_text("\n".join(["reading,day,asked_at,level,gauge,flooded", *rows]) + "\n")
    return path


def _settle(project: Project) -> None:
    """Folders whose time is a few seconds old prove that nothing was written since; do not wait for that here."""
    for folder in (project.state.data / "tides", project.datasets()["tides"].parent / "contract.py"):
        before = folder.stat().st_mtime - 10
        os.utime(folder, (before, before))


def _listing(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(entry.stat().st_size for entry in entries)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
