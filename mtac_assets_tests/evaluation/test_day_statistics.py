"""Values against scikit-learn with the days' counts as sample weights; derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from mtac_assets.evaluation import day_statistics
from mtac_assets.evaluation.metrics import METRICS
from mtac_assets.evaluation.scored_rows import ScoredRows, scored_rows

SKLEARN = {
    "roc_auc": roc_auc_score,
    "pr_auc": average_precision_score,
    "log_loss": lambda y, s, sample_weight: log_loss(y, s, sample_weight=sample_weight, labels=[0, 1]),
    "brier": brier_score_loss,
}


@st.composite
def rows_and_counts(draw: st.DrawFn) -> tuple[ScoredRows, np.ndarray]:
    """Few rows, few days, scores of few values (ties within and across days), and whole day counts with zeros."""
    n, D = draw(st.integers(2, 40)), draw(st.integers(1, 5))
    labels = draw(st.lists(st.sampled_from([0, 1]), min_size=n, max_size=n))
    days = draw(st.lists(st.integers(0, D - 1), min_size=n, max_size=n))
    levels = draw(st.sampled_from([3, 10, 1000]))
    scores = np.array(draw(st.lists(st.integers(1, levels - 1), min_size=n, max_size=n))) / levels
    rows = scored_rows(np.array(labels), np.array(days), scores)
    counts = draw(st.lists(st.integers(0, 4), min_size=rows.day_count, max_size=rows.day_count))
    return rows, np.array([counts], dtype=float)


@settings(max_examples=150)
@given(rows_and_counts(), st.sampled_from(sorted(SKLEARN)))
def test_a_resample_has_scikit_learns_weighted_value(case: tuple[ScoredRows, np.ndarray], metric: str) -> None:
    rows, W = case
    weights = W[0][rows.day]
    value = METRICS[metric].statistic(rows).values(W)[0]
    present = set(rows.labels[weights > 0].tolist())
    needed = {"roc_auc": {False, True}, "pr_auc": {True}}.get(metric, set())
    if not present or not needed <= present:
        assert np.isnan(value)
    else:
        kept = weights > 0  # scikit-learn counts a threshold without weight as one
        expected = SKLEARN[metric](rows.labels[kept], rows.scores[kept], sample_weight=weights[kept])
        assert value == pytest.approx(expected, abs=1e-12)


def test_values_hold_on_many_rows_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = scored_rows(rng.random(3000) < 0.3, rng.integers(0, 14, 3000), np.round(rng.random(3000), 3))
    W = rng.integers(0, 4, size=(5, 14)).astype(float)
    monkeypatch.setattr(day_statistics, "THRESHOLDS_AT_ONCE", 7)
    for metric, reference in SKLEARN.items():
        values = METRICS[metric].statistic(rows).values(W)
        expected = [reference(rows.labels, rows.scores, sample_weight=w[rows.day]) for w in W]
        assert values == pytest.approx(expected, abs=1e-12), metric


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_derivatives_are_those_of_the_values(metric: str) -> None:
    rng = np.random.default_rng(1)
    rows = scored_rows(rng.random(500) < 0.4, rng.integers(0, 6, 500), np.round(rng.random(500), 2) * 0.98 + 0.01)
    W = rng.integers(1, 4, size=(3, 6)).astype(float)
    statistic = METRICS[metric].statistic(rows)
    analytic, step = statistic.derivatives(W, statistic.values(W)), 1e-6
    for day in range(6):
        moved = np.zeros(6)
        moved[day] = step
        numeric = (statistic.values(W + moved) - statistic.values(W - moved)) / (2 * step)
        assert analytic[:, day] == pytest.approx(numeric, abs=1e-7)
