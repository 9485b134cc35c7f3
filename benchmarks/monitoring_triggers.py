"""What looking costs: a tick that finds nothing on 10,000 files, one that finds a single new file, and the ticks of a recipe's
sensors once all is done."""

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
    from collections.abc import Callable

    import dagster as dg

    from mtac_assets.spec.project import Project

FILES = 10_000
TICKS = 21
LONG_AGO = 1_600_000_000
TARGET_MS = 50.0
RECIPE_DAYS = 90
SENSORS = ("follow_up", "upstream", "watch", "alarm")


def measure() -> list[Figure]:
    """All days ingested and told to Dagster by one real run, then real ticks of the sensor in this process; the same of a recipe
    whose champion serves."""
    return [*_on_a_project(_measure), *_on_a_project(_measure_recipe)]


def _on_a_project(work: Callable[[Project], list[Figure]]) -> list[Figure]:
    from mtac_assets_tests.tides import make_project

    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder))
        sys.path.insert(0, str(project.root))
        try:
            return work(project)
        finally:
            sys.path.remove(str(project.root))


def _measure_recipe(project: Project) -> list[Figure]:
    """Each sensor of a recipe once it has nothing to do."""
    import dagster as dg

    from mtac_assets.orchestration.instance import instance
    from mtac_assets.orchestration.line import ingest_days, run_line
    from mtac_assets.orchestration.repository import load_repository
    from mtac_assets.provenance import ledger
    from mtac_assets.provenance.memory import RACY_NS
    from mtac_assets.spec.load import load_recipe
    from mtac_assets_tests.tides import write_day

    first = date(2024, 1, 1)
    days = [first + timedelta(days=n) for n in range(RECIPE_DAYS)]
    dataset, recipe = project.datasets()["tides"], project.recipes()["floods"]
    text = dataset.read_text().replace("end: 2024-01-14", f"end: {days[-1]}")
    dataset.write_text(text + "arrival: {settle_seconds: 0}\n")
    text = recipe.read_text().replace(
        "train_days: 5, validate_days: 1, test_days: 2", "train_days: 30, validate_days: 2, test_days: 7"
    )
    triggers = "  upstream: true\n  drift: {resamples: 300}\n  performance: {window_days: 7, min_rows: 10}\n"
    recipe.write_text(text + triggers)
    for day in days:
        write_day(project.root, day)
    ingest_days(project, "tides", [day.isoformat() for day in days])
    newest = run_line(project, load_recipe(project, "floods", (), days[-7])).model_id
    ledger.append(project, "local", kind="promote", recipe="floods", model_id=newest, actor="ada", reason="the first")
    repository = load_repository(project)
    figures: list[Figure] = []
    with instance(project) as opened:
        _work_off(project, opened, repository)
        time.sleep(RACY_NS / 1e9)
        for name in SENSORS:
            sensor = repository.get_sensor_def(f"floods_{name}")
            cursor: str | None = None

            def tick(sensor: dg.SensorDefinition = sensor) -> None:
                nonlocal cursor
                found = sensor.evaluate_tick(
                    dg.build_sensor_context(instance=opened, cursor=cursor, repository_def=repository)
                )
                cursor = found.cursor or cursor

            for _ in range(2):  # the second one knows from its cursor that Dagster has done what the first asked for
                tick()
            nothing = [timed(tick) for _ in range(TICKS)]
            detail = f"median of {TICKS}, slowest {max(nothing) * 1e3:.0f} ms; {RECIPE_DAYS} days"
            figures.append(
                Figure(f"a tick of `{name}` that finds nothing", median(nothing) * 1e3, "ms", TARGET_MS, detail=detail)
            )
    return figures


def _work_off(project: Project, opened: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> None:
    """What the recipe's sensors ask for, each request once, until they ask for nothing more: as the daemon does."""
    import dagster as dg

    from mtac_assets.orchestration.execute import execute

    done: set[str | None] = set()
    for _ in range(10):
        asked = []
        for name in ("follow_up", "watch"):
            sensor = repository.get_sensor_def(f"floods_{name}")
            found = sensor.evaluate_tick(dg.build_sensor_context(instance=opened, repository_def=repository))
            asked += [request for request in found.run_requests or [] if request.run_key not in done]
            for event in found.asset_events:
                opened.report_runless_asset_event(event)  # pyright: ignore[reportArgumentType]
        for request in asked:
            done.add(request.run_key)
            assert request.job_name is not None
            execute(
                project, opened, repository.get_job(request.job_name), tags=request.tags, run_config=request.run_config
            )
        if not asked:
            return
    raise AssertionError("the sensors ask for runs without end")


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
