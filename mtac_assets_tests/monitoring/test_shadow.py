"""Decisions on what was compared: once at the end of a shadow, a few times after a promotion, and never on too little."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.evaluation.compare import Comparison, compare
from mtac_assets.monitoring.shadow import rollback_days, rollback_verdict, shadow_days, shadow_verdict
from mtac_assets.spec.recipe import Rollback, Shadow

SHADOW = Shadow(days=7, min_rows=100, alpha=0.05)
ROLLBACK = Rollback(window_days=7, looks=4, min_rows=100, alpha=0.04)


def _days(count: int) -> list[str]:
    return [(date(2024, 1, 1) + timedelta(days=n)).isoformat() for n in range(count)]


def _comparison(days: int, p_value: float | None, rows: int = 1000, effect: float = 0.01) -> Comparison:
    return Comparison(
        "log_loss", 0.4, 0.41, effect, 0.0, 0.02, p_value, 0.0, 0.0, days, rows, 100, 0.95, 0,
        None if p_value is not None else "one day holds all rows of a class",
    )  # fmt: skip


def test_a_shadow_waits_for_its_days_and_is_judged_on_the_first_of_them():
    assert shadow_verdict(shadow_days(_days(6), SHADOW), None, SHADOW).decision == "wait"
    days = shadow_days(_days(30), SHADOW)
    assert list(days) == _days(7)
    verdict = shadow_verdict(days, _comparison(7, 0.05), SHADOW)
    assert (verdict.decision, verdict.final) == ("promote", True)
    assert verdict.evidence["comparison"]["p_value"] == 0.05


@pytest.mark.parametrize(
    ("comparison", "words"),
    [
        (_comparison(7, 0.0501), "above 0.05"),
        (_comparison(7, None), "cannot be told apart"),
        (_comparison(7, 0.001, rows=99), "99 labelled rows; 100 are needed"),
    ],
)
def test_a_challenger_that_is_not_shown_to_be_better_is_refused(comparison: Comparison, words: str):
    verdict = shadow_verdict(_days(7), comparison, SHADOW)
    assert (verdict.decision, verdict.final) == ("refuse", True)
    assert words in verdict.reason


def test_what_was_compared_otherwise_is_no_ground():
    with pytest.raises(AssertionError, match="compared on 6 days"):
        shadow_verdict(_days(7), _comparison(6, 0.001), SHADOW)


@given(count=st.integers(0, 60))
def test_looks_come_at_full_windows_and_end(count: int):
    days = rollback_days(_days(count), ROLLBACK)
    assert len(days) == min(count // 7, 4) * 7
    assert list(days) == _days(count)[: len(days)]


def test_looks_share_alpha_and_the_last_one_is_final():
    assert rollback_verdict(_days(6), None, ROLLBACK).decision == "wait"
    good = rollback_verdict(_days(7), _comparison(7, 0.011), ROLLBACK)
    assert (good.decision, good.final) == ("keep", False)
    bad = rollback_verdict(_days(20), _comparison(14, 0.01), ROLLBACK)
    assert (bad.decision, bad.final, bad.evidence["look"]) == ("roll_back", True, 2)
    last = rollback_verdict(_days(50), _comparison(28, 0.5), ROLLBACK)
    assert (last.decision, last.final) == ("keep", True)


def _played(rng: np.random.Generator, harm: float) -> bool:
    """28 days after a promotion: is it taken back at one of the looks? `harm`: noise that only the new champion has."""
    days, rows = 28, 40
    logit = rng.normal(-1, 1, size=days * rows)
    labels = (rng.random(len(logit)) < 1 / (1 + np.exp(-logit))).astype(float)
    old = 1 / (1 + np.exp(-(logit + rng.normal(0, 0.3, len(logit)))))
    new = 1 / (1 + np.exp(-(logit + rng.normal(0, 0.3 + harm, len(logit)))))
    day = np.repeat(_days(days), rows)
    for seen in range(7, days + 1, 7):
        first = seen * rows
        comparison = compare(labels[:first], day[:first], old[:first], new[:first], "log_loss", resamples=200, seed=1)
        if rollback_verdict(_days(seen), comparison, ROLLBACK).decision == "roll_back":
            return True
    return False


def test_over_all_looks_a_good_champion_is_seldom_taken_back_and_a_bad_one_often():
    rng = np.random.default_rng(5)
    # 200 plays at 4 %: more than 9 % has a chance below 1 in 500.
    assert np.mean([_played(rng, 0.0) for _ in range(200)]) <= 0.09
    assert np.mean([_played(rng, 0.9) for _ in range(30)]) >= 0.9
