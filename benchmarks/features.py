"""A year of features, a training set, and the sampler, on the flights that ship with the project.

A year is computed from nothing, asked for again with nothing changed, and held against what a day costs alone: a range must be
cheaper than its days one by one, or the running sums are worth nothing.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, timed
from mtac_assets.data.features import materialise
from mtac_assets.data.features_plan import stale_keys
from mtac_assets.data.ingest import ingest
from mtac_assets.data.sampler import indices
from mtac_assets.data.training_set import build
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project, find_project

ROOT = Path(__file__).resolve().parents[1]
RECIPE, AS_OF = "flight_delays", date(2013, 4, 1)
DAYS = [str(day) for day in np.arange("2013-01-01", "2014-01-01", dtype="datetime64[D]")]
ROUNDS = 3
SAMPLED = 1 << 22


def measure() -> list[Figure]:
    """Seconds for a year of features and for one training set, rows a second of the sampler."""
    with _ingested() as project:
        resolved = load_recipe(project, RECIPE, as_of=AS_OF)
        year = statistics.median(_emptied(project, lambda: materialise(project, resolved, DAYS)) for _ in range(ROUNDS))
        again = statistics.median(timed(lambda: materialise(project, resolved, DAYS)) for _ in range(ROUNDS))
        asked = statistics.median(timed(lambda: stale_keys(project, resolved, DAYS)) for _ in range(ROUNDS))
        alone = _emptied(project, lambda: [materialise(project, resolved, [day]) for day in DAYS[100:105]]) / 5
        materialise(project, resolved, DAYS)
        built = timed(lambda: build(project, resolved))
        found = statistics.median(timed(lambda: build(project, resolved)) for _ in range(ROUNDS))
    sampler = SAMPLED / timed(lambda: indices(1, "rows", 0, SAMPLED + 1, 0, SAMPLED)) / 1e6
    return [
        Figure("features of 365 days", year, "s", at_most=10.0, detail="computed and written, median of 3"),
        Figure("the same, nothing changed", again, "s", at_most=1.0, detail="every file digested again"),
        Figure("which of 365 days are stale", asked, "s", detail="as the plan asks"),
        Figure(
            "a day in a range against a day alone", year / 365 / alone, detail="a day alone counts 28 days of history"
        ),
        Figure("a training set from features that are there", built, "s", detail="49 + 7 days, about 49,000 rows"),
        Figure("the same, found again", found, "s", detail=""),
        Figure("sampler", sampler, "M rows/s", at_least=2.0, detail="n just above a power of two, its worst case"),
    ]


@contextmanager
def _ingested() -> Iterator[Project]:
    """This repository's project with the year of both datasets in a temporary state."""
    with tempfile.TemporaryDirectory() as folder:
        project = find_project(ROOT, "local")
        project = replace(project, environment=project.environment.model_copy(update={"state": folder}))
        for dataset, keys in (("nyc_flights", DAYS), ("nyc_weather", DAYS[:-1])):
            assert not ingest(project, dataset, keys).failed
        yield project


def _emptied(project: Project, work: Callable[[], object]) -> float:
    """Seconds of `work` with no feature partition there."""
    for path in project.state.features.rglob("*.*"):
        path.unlink()
    return timed(work)
