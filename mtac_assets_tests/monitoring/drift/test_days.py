"""The way from a project's stored days to a verdict, on a real, ingested project."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from mtac_assets.data.features import materialise
from mtac_assets.data.ingest import ingest
from mtac_assets.monitoring.drift.days import day_block, reference_of
from mtac_assets.monitoring.drift.judge import judge
from mtac_assets.monitoring.drift.rows import SCORE, Column, DriftError
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.recipe import DriftTrigger
from mtac_assets_tests.tides import make_project


def test_the_days_of_a_project_are_read_with_features_scores_and_raw_nulls(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    keys = [f"2024-01-{day:02d}" for day in range(1, 10)]
    assert all(day.status == "written" for day in ingest(project, "tides", keys).days)
    resolved = load_recipe(project, "floods", as_of=date(2024, 1, 7))
    materialise(project, resolved, keys[1:9])
    scores = {key: np.linspace(0, 1, 120) for key in keys}
    reference = reference_of(project, resolved, "floods-0123", scores=scores)
    assert reference.keys == tuple(keys[1:6])  # five days to train and validate on before the as-of date
    assert list(reference.slots) == [1, 2, 3, 4, 5]
    assert set(reference.layout.columns) == {
        Column("feature", "level"), Column("feature", "gauge"), SCORE,
        *(Column("raw", name) for name in ("reading", "day", "asked_at", "level", "gauge", "flooded")),
    }  # fmt: skip
    assert reference.about["model_id"] == "floods-0123"
    block = day_block(project, resolved, keys[7], scores=scores[keys[7]])
    verdict = judge(reference, [block], DriftTrigger())
    assert verdict.drifted is None
    assert verdict.reason == "a history of 5 blocks, fewer than 20: 20 windows of 1"
    with pytest.raises(DriftError, match="119 scores for 120 rows"):
        day_block(project, resolved, keys[7], scores=np.zeros(119))
    with pytest.raises(DriftError, match="no scores of 2024-01-03"):
        reference_of(project, resolved, "floods-0123", scores={key: scores[key] for key in keys if key != keys[2]})
    without = day_block(project, resolved, keys[7])
    with pytest.raises(DriftError, match="score"):
        judge(reference, [without], DriftTrigger())
