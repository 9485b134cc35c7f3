"""The test of live against reference loss: its error rate where nothing changed, and that it sees what did."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.evaluation.scored_rows import ScoredRows, scored_rows
from mtac_assets.monitoring.live_loss import loss_difference

SPREAD = 0.5


def _days(rng: np.random.Generator, days: int, rows: int = 200, shift: float = 0.0) -> ScoredRows:
    """Days that differ by an effect that the scores do not know; `shift` moves the truth away from the scores."""
    return _scored(rng, rng.normal(shift, SPREAD, size=days), rows)


def _scored(rng: np.random.Generator, effects: np.ndarray, rows: int = 200) -> ScoredRows:
    """Rows of days [D] whose logit is moved by the day's effect."""
    logit = rng.normal(-1, 1, size=(len(effects), rows))
    labels = rng.random(logit.shape) < 1 / (1 + np.exp(-(logit + effects[:, None])))
    day = np.repeat(np.arange(len(effects)), rows)
    return scored_rows(labels.ravel().astype(float), day, (1 / (1 + np.exp(-logit))).ravel())


def _hanging_together(rng: np.random.Generator, days: int, rho: float) -> np.ndarray:
    effects = rng.normal(0, SPREAD, size=days)
    for day in range(1, days):
        effects[day] = rho * effects[day - 1] + np.sqrt(1 - rho**2) * effects[day]
    return effects


def _p_value(rng: np.random.Generator, shift: float, resamples: int = 200) -> float:
    live, reference = _days(rng, 7, shift=shift), _days(rng, 14)
    difference = loss_difference(live, reference, resamples=resamples, seed=3, confidence=0.95)
    assert difference.p_value is not None
    return difference.p_value


def test_without_a_change_it_alarms_no_more_often_than_asked():
    rng = np.random.default_rng(1)
    found = np.array([_p_value(rng, 0.0) for _ in range(500)])
    # 500 draws at 5 %: more than 8 % has a chance below 1 in 500.
    assert 0.005 <= (found <= 0.05).mean() <= 0.08


def test_days_that_hang_together_do_not_double_the_rate():
    rng = np.random.default_rng(6)
    found = []
    for _ in range(500):
        effects = _hanging_together(rng, 21, 0.6)
        live, reference = _scored(rng, effects[14:]), _scored(rng, effects[:14])
        difference = loss_difference(live, reference, resamples=200, seed=3, confidence=0.95)
        assert difference.p_value is not None
        found.append(difference.p_value)
    # Without the widening it is 0.13.
    assert np.mean(np.array(found) <= 0.05) <= 0.1


def test_a_world_that_moved_is_seen():
    rng = np.random.default_rng(2)
    found = np.array([_p_value(rng, 1.5) for _ in range(60)])
    assert (found <= 0.05).mean() >= 0.9


def test_the_interval_holds_the_effect_and_min_effect_moves_the_p_value():
    rng = np.random.default_rng(3)
    live, reference = _days(rng, 10, shift=1.0), _days(rng, 14)
    plain, strict = (
        loss_difference(live, reference, resamples=500, seed=1, confidence=0.95, min_effect=least)
        for least in (0.0, 0.2)
    )
    assert plain.low is not None
    assert plain.high is not None
    assert plain.low < plain.effect < plain.high
    assert (plain.effect, plain.low, plain.high) == (strict.effect, strict.low, strict.high)
    assert plain.p_value is not None
    assert strict.p_value is not None
    assert plain.p_value < strict.p_value


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), live_days=st.integers(3, 12), reference_days=st.integers(3, 20))
def test_better_one_way_is_worse_the_other_and_rows_may_come_in_any_order(
    seed: int, live_days: int, reference_days: int
):
    rng = np.random.default_rng(seed)
    live, reference = _days(rng, live_days, 30), _days(rng, reference_days, 30)
    there = loss_difference(live, reference, resamples=100, seed=5, confidence=0.9)
    back = loss_difference(reference, live, resamples=100, seed=5, confidence=0.9)
    assert there.effect == pytest.approx(-back.effect, abs=1e-12)
    order = rng.permutation(live.rows)
    mixed = ScoredRows(live.labels[order], live.day[order], live.day_keys, live.scores[order])
    again = loss_difference(mixed, reference, resamples=100, seed=5, confidence=0.9)
    assert again.effect == pytest.approx(there.effect, abs=1e-12)
    assert (again.low, again.high) == pytest.approx((there.low, there.high), abs=1e-9)


def test_two_days_are_too_few_and_equal_days_tell_nothing():
    rng = np.random.default_rng(4)
    few = loss_difference(_days(rng, 2), _days(rng, 14), resamples=100, seed=1, confidence=0.95)
    assert (few.p_value, few.reason) == (None, "2 days are too few to tell a change from chance")
    same = scored_rows(np.tile([0.0, 1.0], 5), np.repeat(np.arange(5), 2), np.full(10, 0.5))
    equal = loss_difference(same, same, resamples=100, seed=1, confidence=0.95)
    assert (equal.p_value, equal.effect) == (None, 0.0)
