from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from mtac_assets.evaluation.assess import MOST_UNITS, HeldOut, assess, units
from mtac_assets.evaluation.compare import compare
from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.metrics import METRICS
from mtac_assets.spec.recipe import Bootstrap, Evaluation


def test_the_document_is_json_without_nan_and_has_every_metric_of_every_model(report: dict[str, Any]) -> None:
    json.dumps(report, allow_nan=False)
    assert set(report["metrics"]) == set(METRICS)
    assert list(report["baselines"]) == ["base_rate", "logistic_regression", "hist_gradient_boosting"]
    assert all(set(metrics) == set(METRICS) for metrics in report["baselines"].values())


def test_small_slices_and_missing_values_are_shown(report: dict[str, Any]) -> None:
    slices = {entry["value"]: entry for entry in report["slices"]}
    assert set(slices) == {"EWR", "JFK", "LGA", "SWF", "ISP", None}
    assert {value for value, entry in slices.items() if entry["small"]} == {"SWF", "ISP", None}
    assert slices["ISP"]["metrics"]["roc_auc"]["reason"] == "all 5 rows have the label 1"


def test_the_champion_is_compared_on_the_same_rows_by_the_same_test(
    report: dict[str, Any], held_out: Any, scores: Any, evaluation: Evaluation
) -> None:
    _, test = held_out
    model = (scores["hist_gradient_boosting"] + scores["logistic_regression"]) / 2
    settings = evaluation.bootstrap
    alone = compare(
        test.labels,
        test.days,
        model,
        scores["logistic_regression"],
        "log_loss",
        resamples=settings.resamples,
        seed=settings.seed,
    )
    assert report["comparison"]["metrics"]["log_loss"] == alone.document()
    assert report["baseline_comparisons"]["logistic_regression"]["log_loss"] == alone.document()


def test_one_class_gives_reasons_and_no_curves(held_out: Any, scores: Any, evaluation: Evaluation) -> None:
    _, test = held_out
    late = dataclasses.replace(test, labels=np.ones_like(test.labels))
    document = assess(late, scores["hist_gradient_boosting"], scores, None, evaluation)
    json.dumps(document, allow_nan=False)
    assert document["metrics"]["roc_auc"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "all 1200 rows have the label 1",
    }
    assert set(document["curves"].values()) == {None}
    assert document["comparison"] is None


def test_a_model_that_answers_nan_is_refused(held_out: Any, scores: Any, evaluation: Evaluation) -> None:
    _, test = held_out
    spoiled = scores["hist_gradient_boosting"].copy()
    spoiled[7] = np.nan
    with pytest.raises(EvaluationError, match="row 7 has nan"):
        assess(test, spoiled, {}, None, evaluation)


def test_rows_without_days_are_resampled_in_bounded_blocks_of_neighbours() -> None:
    test = HeldOut(np.zeros(5000), None, {})
    blocks = units(test, "row")
    assert len(set(blocks.tolist())) == MOST_UNITS
    assert (np.diff(blocks) >= 0).all()
    assert np.ptp(np.bincount(blocks)) <= 1
    assert units(HeldOut(np.zeros(9), None, {}), "row").tolist() == list(range(9))


def test_a_recipe_without_time_has_everything_but_days(held_out: Any, scores: Any) -> None:
    _, test = held_out
    untimed = dataclasses.replace(test, days=None)
    settings = Evaluation(bootstrap=Bootstrap(unit="row", resamples=100), baselines=("base_rate",))
    document = assess(untimed, scores["hist_gradient_boosting"], {"base_rate": scores["base_rate"]}, None, settings)
    assert document["by_day"] is None
    assert document["slice_reference"] is None
    assert document["metrics"]["roc_auc"]["low"] is not None
