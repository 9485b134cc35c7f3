from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import auc, roc_auc_score

from mtac_assets.evaluation.bootstrap import resample_days
from mtac_assets.evaluation.curves import by_day, calibration_curve, ranking_curves
from mtac_assets.evaluation.metrics import point
from mtac_assets.evaluation.scored_rows import ScoredRows, scored_rows


@pytest.fixture
def rows() -> ScoredRows:
    rng = np.random.default_rng(0)
    scores = rng.random(2000)
    return scored_rows(rng.random(2000) < scores**2, np.repeat(np.arange(10), 200), scores)


def test_the_calibration_curve_adds_up_to_the_calibration_error(rows: ScoredRows) -> None:
    curve = calibration_curve(rows, resample_days(10, resamples=200, seed=0))
    gaps = [abs(entry["rate"] - entry["score"]) * entry["rows"] for entry in curve["bins"]]
    assert sum(gaps) / rows.rows == pytest.approx(point(rows, "calibration_error"))
    assert sum(entry["rows"] for entry in curve["bins"]) == sum(curve["histogram"]["counts"]) == rows.rows
    assert all(entry["low"] <= entry["rate"] <= entry["high"] for entry in curve["bins"])


def test_the_thinned_roc_curve_has_the_area_of_the_whole(rows: ScoredRows) -> None:
    curves = ranking_curves(rows)
    assert curves is not None
    x, y = zip(*curves["roc"], strict=True)
    assert auc(x, y) == pytest.approx(roc_auc_score(rows.labels, rows.scores), abs=2e-3)
    assert len(curves["roc"]) <= 163
    recall = [point[0] for point in curves["pr"]]
    assert max(recall) == 1
    assert min(recall) >= 0.01


def test_one_class_has_no_ranking_curves() -> None:
    assert ranking_curves(scored_rows(np.zeros(5), np.zeros(5), np.linspace(0, 1, 5))) is None


def test_each_day_is_measured_by_its_own_rows_in_order_of_time(rows: ScoredRows) -> None:
    names = (np.datetime64("2013-02-25") + rows.day).astype(str)
    days = by_day(rows, names, {"same": rows.scores})
    assert [day["day"] for day in days] == sorted(set(names.tolist()))
    third = rows.select(rows.day == 2)
    assert days[2]["roc_auc"] == point(third, "roc_auc")
    assert days[2]["others"]["same"] == {"log_loss": days[2]["log_loss"], "roc_auc": days[2]["roc_auc"]}
    assert sum(day["rate"] * day["rows"] for day in days) == pytest.approx(rows.labels.sum())
