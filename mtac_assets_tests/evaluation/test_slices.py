from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtac_assets.evaluation.bootstrap import resample_days
from mtac_assets.evaluation.metrics import measure
from mtac_assets.evaluation.scored_rows import scored_rows
from mtac_assets.evaluation.slices import slices_of


@pytest.fixture
def rows() -> Any:
    rng = np.random.default_rng(0)
    return scored_rows(rng.random(600) < 0.3, np.repeat(np.arange(10), 60), rng.random(600))


def test_every_row_is_in_one_slice_of_a_column(rows: Any) -> None:
    values = np.array(["a", "b", None], dtype=object)[np.arange(600) % 3]
    values[:7] = "rare"
    found = slices_of(rows, {"letter": values}, 100, resample_days(10, resamples=100, seed=0))
    assert sum(entry.rows for entry in found) == 600
    assert sum(entry.positives for entry in found) == rows.labels.sum()
    assert [entry.value for entry in found if entry.small] == ["rare"]
    assert {entry.value for entry in found} == {"a", "b", None, "rare"}
    assert [entry.rows for entry in found] == sorted((entry.rows for entry in found), reverse=True)


def test_a_slice_is_measured_as_its_rows_alone(rows: Any) -> None:
    values = np.array(["a", "b"], dtype=object)[np.arange(600) % 2]
    resampling = resample_days(10, resamples=100, seed=0)
    of_a = next(s for s in slices_of(rows, {"letter": values}, 1, resampling) if s.value == "a")
    alone = scored_rows(rows.labels[values == "a"], rows.day[values == "a"], rows.scores[values == "a"])
    assert of_a.metrics == measure(alone, resampling)


def test_a_single_class_slice_is_shown_with_the_reason(rows: Any) -> None:
    values = np.where(rows.labels & (np.arange(600) < 200), "late", "mixed").astype(object)
    late = next(
        s for s in slices_of(rows, {"letter": values}, 1, resample_days(10, resamples=100, seed=0)) if s.value == "late"
    )
    auc = late.document()["metrics"]["roc_auc"]
    assert auc["value"] is None
    assert auc["reason"] == f"all {late.rows} rows have the label 1"


def test_a_reference_stands_beside_on_the_same_rows(rows: Any) -> None:
    values = np.array(["a", "b"], dtype=object)[np.arange(600) % 2]
    resampling = resample_days(10, resamples=100, seed=0)
    found = slices_of(rows, {"letter": values}, 1, resampling, reference=rows.scores)
    assert all(entry.reference == entry.metrics for entry in found)
