from __future__ import annotations

import copy
from typing import Any

import pytest

from mtac_assets.evaluation.verdict import verdict


def with_gain(report: dict[str, Any], low: float | None, high: float | None) -> dict[str, Any]:
    changed = copy.deepcopy(report)
    for metrics in (changed["comparison"]["metrics"], changed["baseline_comparisons"]["hist_gradient_boosting"]):
        metrics["log_loss"] |= {"low": low, "high": high, "reason": "too few days"}
    return changed


@pytest.mark.parametrize(
    ("low", "high", "tone", "headline"),
    [
        (0.01, 0.02, "good", "Better than the champion and gradient boosting"),
        (-0.01, 0.02, "mixed", "Not told apart from the champion and gradient boosting"),
        (-0.02, -0.01, "bad", "Worse than the champion and gradient boosting"),
        (None, None, "mixed", "Not told apart from the champion and gradient boosting"),
    ],
)
def test_the_headline_follows_the_interval_of_the_gain(
    report: dict[str, Any], low: float | None, high: float | None, tone: str, headline: str
) -> None:
    found = verdict(with_gain(report, low, high))
    assert (found.tone, found.headline) == (tone, headline)


def test_trained_test_rows_come_before_any_good_news(report: dict[str, Any]) -> None:
    found = verdict(with_gain(report, 0.01, 0.02) | {"overlap_rows": 12})
    assert found.tone == "bad"
    assert found.headline.startswith("12 test rows are training rows")


def test_without_anything_to_compare_with_nothing_is_claimed(report: dict[str, Any]) -> None:
    alone = report | {"comparison": None, "slice_reference": None, "baseline_comparisons": {}, "baselines": {}}
    assert verdict(alone).headline == "Measured, with nothing to compare it with"


def test_the_figures_are_those_of_the_report(report: dict[str, Any]) -> None:
    words = " ".join(verdict(report).sentences)
    assert f"{report['metrics']['roc_auc']['value']:.3f}" in words
    assert f"{abs(report['comparison']['metrics']['log_loss']['effect']):.4f}" in words
