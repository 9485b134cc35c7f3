from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mtac_assets.evaluation.bootstrap import resample_days
from mtac_assets.evaluation.compare import Comparison, compare, compare_resampled, resampled
from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.metrics import METRICS, point
from mtac_assets.evaluation.scored_rows import scored_rows

ALPHA = 0.05


def sigmoid(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


def world(rng: np.random.Generator, days: int = 14, rows_a_day: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, days and the logit that a perfect view of the features gives; each day has a skewed effect of its own."""
    day = np.repeat(np.arange(days), rows_a_day)
    logit = rng.normal(-1.3, 0.9, len(day))
    effect = rng.gamma(1.0, 0.5, days) - 0.5
    return rng.random(len(day)) < sigmoid(logit + effect[day]), day, logit


def noisy(rng: np.random.Generator, logit: np.ndarray, day: np.ndarray, noise: float = 0.3) -> np.ndarray:
    """A model that errs by row and, alike for all rows of a day, by day."""
    return sigmoid(logit + rng.normal(0, noise, len(logit)) + rng.normal(0, noise, day.max() + 1)[day])


def compared(draw: int, metric: str, noise: tuple[float, float] = (0.3, 0.3), **more: Any) -> Comparison:
    rng = np.random.default_rng(draw)
    labels, day, logit = world(rng)
    a, b = (noisy(rng, logit, day, size) for size in noise)
    return compare(labels, day, a, b, metric, **({"resamples": 200, "seed": draw} | more))


@pytest.mark.parametrize("metric", ["log_loss", "roc_auc", "pr_auc"])
def test_equal_models_are_told_apart_at_most_at_alpha(metric: str) -> None:
    """Two models of equal quality on dependent rows: noise alone wins at most at the level asked for."""
    trials = 100 if metric == "pr_auc" else 300
    wins = sum(compared(seed, metric).p_value <= ALPHA for seed in range(trials))  # type: ignore[operator]
    assert wins / trials <= ALPHA


def test_a_bootstrap_of_rows_would_break_the_level() -> None:
    """The reason for days: with every row taken as independent the same two models win four times too often."""
    trials, wins = 100, 0
    for seed in range(trials):
        rng = np.random.default_rng(seed)
        labels, day, logit = world(rng)
        rows = np.arange(len(labels)) * 300 // len(labels)  # 300 blocks of rows that share no day's fate
        result = compare(
            labels, rows, noisy(rng, logit, day), noisy(rng, logit, day), "log_loss", resamples=200, seed=1
        )
        assert result.p_value is not None
        wins += result.p_value <= ALPHA
    assert wins / trials > 2 * ALPHA


def test_a_better_model_is_found() -> None:
    found = [compared(seed, "log_loss", noise=(0.2, 0.8)) for seed in range(20)]
    assert sum(result.p_value <= ALPHA for result in found) >= 18  # type: ignore[operator]
    assert all(result.effect > 0 for result in found)  # type: ignore[operator]


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_the_effect_is_the_difference_in_the_better_direction(metric: str) -> None:
    rng = np.random.default_rng(3)
    labels, day, logit = world(rng)
    a, b = noisy(rng, logit, day, 0.1), noisy(rng, logit, day, 0.9)
    rows = scored_rows(labels, day, a)
    difference = point(rows, metric) - point(rows.with_scores(b, "b"), metric)  # type: ignore[operator]
    forth = compare(labels, day, a, b, metric, resamples=200, seed=1)
    back = compare(labels, day, b, a, metric, resamples=200, seed=1)
    assert forth.effect == pytest.approx(METRICS[metric].better * difference, abs=1e-12)
    assert (back.effect, back.low, back.high) == pytest.approx((-forth.effect, -forth.high, -forth.low))  # type: ignore[operator]
    assert forth.low < forth.effect < forth.high  # type: ignore[operator]


def test_p_value_and_interval_agree() -> None:
    """One-sided at half of the interval's tail: zero lies outside below exactly where the p-value is at most 2.5 %."""
    agreed = [compared(seed, "log_loss", noise=(0.3, 0.5)) for seed in range(40)]
    clear = [r for r in agreed if abs(r.p_value - 0.025) > 0.01]  # type: ignore[operator]
    assert len(clear) > 20
    assert all((r.low > 0) == (r.p_value < 0.025) for r in clear)  # type: ignore[operator]


def test_a_model_against_itself_gains_nothing() -> None:
    rng = np.random.default_rng(0)
    labels, day, logit = world(rng)
    same = sigmoid(logit)
    result = compare(labels, day, same, same.copy(), "roc_auc", resamples=100, seed=0)
    assert (result.effect, result.low, result.high, result.p_value) == (0, 0, 0, 1)


def test_the_same_gain_on_every_day_is_not_declared_significant_by_a_zero_error() -> None:
    labels, day = np.tile([0, 1], 70), np.repeat(np.arange(14), 10)
    a, b = np.where(labels == 1, 0.8, 0.2), np.full(140, 0.5)
    result = compare(labels, day, a, b, "log_loss", resamples=100, seed=0)
    assert result.effect == pytest.approx(np.log(0.8) - np.log(0.5))
    assert result.p_value is None
    assert result.reason == "the difference is the same on every day"


def test_a_minimum_effect_is_harder_to_pass() -> None:
    p_values = [compared(1, "log_loss", noise=(0.2, 0.8), min_effect=effect).p_value for effect in (0, 0.01, 0.05, 0.5)]
    assert p_values == sorted(p_values)  # type: ignore[type-var]
    assert p_values[-1] == 1.0


@pytest.mark.parametrize("deviation", [0.0, 0.004, 0.02])
def test_the_luck_of_seeds_wins_at_most_at_alpha_where_its_deviation_is_known(deviation: float) -> None:
    """Two models that differ in truth by their own luck alone: what the gate knows of it, it does not take for progress."""
    trials, known, blind = 300, 0, 0
    for trial in range(trials):
        rng = np.random.default_rng([7, trial])
        labels, day, logit = world(rng, rows_a_day=300)
        a, b = (noisy(rng, logit, day, 0.2) for _ in range(2))
        # Luck moves the whole metric: every row's probability towards its label, or away from it.
        a, b = (luckier(labels, scores, rng.normal(0, deviation)) for scores in (a, b))
        known += (
            compare(labels, day, a, b, "log_loss", resamples=200, seed=1, seed_deviation=deviation).p_value <= ALPHA
        )  # type: ignore[operator]
        blind += compare(labels, day, a, b, "log_loss", resamples=200, seed=1).p_value <= ALPHA  # type: ignore[operator]
    assert known / trials <= 1.3 * ALPHA
    assert deviation < 0.02 or blind / trials > 3 * ALPHA


def luckier(labels: np.ndarray, scores: np.ndarray, gain: float) -> np.ndarray:
    """Scores whose log loss is lower by `gain`."""
    of_label = np.where(labels, scores, 1 - scores)
    moved = np.minimum(of_label * np.exp(gain), 1 - 1e-9)
    return np.where(labels, moved, 1 - moved)


def test_known_luck_moves_the_p_value_and_not_the_interval() -> None:
    found = [compared(1, "log_loss", noise=(0.2, 0.8), seed_deviation=known) for known in (0, 0.01, 0.1)]
    p_values = [one.p_value for one in found]
    assert p_values == sorted(p_values)  # type: ignore[type-var]
    assert p_values[0] < p_values[-1] < 0.5  # type: ignore[operator]
    assert len({(one.effect, one.low, one.high) for one in found}) == 1


def test_few_days_have_an_effect_and_no_verdict() -> None:
    rng = np.random.default_rng(0)
    labels, day, logit = world(rng, days=4)
    result = compare(labels, day, noisy(rng, logit, day), sigmoid(logit), "log_loss", resamples=100, seed=0)
    assert result.effect is not None
    assert (result.low, result.high, result.p_value) == (None, None, None)
    assert result.reason == "4 days are too few to tell a difference from chance; 5 are needed"


def test_one_class_has_no_verdict_on_ranking() -> None:
    result = compare(
        np.zeros(50), np.arange(50) % 10, np.full(50, 0.2), np.full(50, 0.3), "roc_auc", resamples=100, seed=0
    )
    assert (result.effect, result.p_value) == (None, None)
    assert result.reason == "all 50 rows have the label 0"


def test_a_class_on_one_day_has_no_verdict() -> None:
    labels = np.zeros(100)
    labels[:5] = 1
    scores = np.random.default_rng(0).random((2, 100))
    result = compare(labels, np.repeat(np.arange(10), 10), scores[0], scores[1], "roc_auc", resamples=100, seed=0)
    assert result.p_value is None
    assert result.reason is not None


@pytest.mark.parametrize("bad", [np.nan, np.inf, 2.0])
def test_scores_that_are_none_are_refused_on_either_side(bad: float) -> None:
    labels, day, fine = np.tile([0, 1], 10), np.repeat(np.arange(10), 2), np.full(20, 0.5)
    spoiled = fine.copy()
    spoiled[3] = bad
    for a, b, name in ((spoiled, fine, "scores_a"), (fine, spoiled, "scores_b")):
        with pytest.raises(EvaluationError) as raised:
            compare(labels, day, a, b, "log_loss", resamples=100, seed=0)
        assert raised.value.findings[0].where == name


def test_a_seed_decides_the_result_and_it_is_json() -> None:
    one, same, other = (compared(4, "roc_auc", seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    json.dumps(one.document(), allow_nan=False)


def test_models_measured_once_compare_as_those_measured_together() -> None:
    rng = np.random.default_rng(9)
    labels, day, logit = world(rng)
    a, b = noisy(rng, logit, day), noisy(rng, logit, day)
    resampling = resample_days(14, resamples=200, seed=5)
    rows = scored_rows(labels, day, a)
    kept = [resampled(part, "pr_auc", resampling) for part in (rows, rows.with_scores(b, "b"))]
    assert compare_resampled(kept[0], kept[1], resampling) == compare(
        labels, day, a, b, "pr_auc", resamples=200, seed=5
    )
