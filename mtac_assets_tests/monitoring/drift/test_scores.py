"""Scores are judged beside inputs: within the one rate, by days that were not learned from too, and never in silence."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from mtac_assets.monitoring.drift.judge import judge
from mtac_assets.monitoring.drift.rows import SCORE
from mtac_assets.monitoring.drift.scores import judge_with_scores, score_blocks, score_reference
from mtac_assets.spec.recipe import DriftTrigger

TRIGGER = DriftTrigger(resamples=600)
TRAINED, OWN, ROWS = 56, 77, 400


def scores(seed: int, days: range, *, surer: float = 1.5, shift: float = 0.0) -> dict[str, np.ndarray]:
    """Days of scores; those of training days lie farther from the middle, as a model's that has learned them by heart."""
    found = {}
    for day in days:
        rng = np.random.default_rng([seed, day])
        logits = rng.normal(size=ROWS) + 0.2 * rng.normal() + shift
        found[str(date(2024, 1, 1) + timedelta(days=day))] = 1 / (1 + np.exp(-logits * (surer if day < TRAINED else 1)))
    return found


@pytest.fixture(scope="module")
def reference():
    return score_reference(scores(1, range(OWN)), "floods-0123")


@pytest.mark.slow
def test_a_model_that_learned_its_days_by_heart_raises_no_alarm(world, reference) -> None:
    live = score_blocks(scores(1, range(OWN, OWN + 40)))
    verdicts = [
        judge_with_scores(world.reference, [world.block(100 + n)], TRIGGER, (reference, [block]))
        for n, block in enumerate(live)
    ]
    # At one per cent, four or more of forty come by chance once in 1,300 times.
    assert sum(bool(verdict.drifted) for verdict in verdicts) < 4
    assert all(verdict.drifted is not None for verdict in verdicts)


def test_scores_that_moved_are_seen_though_no_input_did(world, reference) -> None:
    window = [world.block(100)]
    assert not judge_with_scores(
        world.reference, window, TRIGGER, (reference, score_blocks(scores(1, range(80, 81))))
    ).drifted
    moved = score_blocks(scores(1, range(80, 81), shift=2.5))
    verdict = judge_with_scores(world.reference, window, TRIGGER, (reference, moved))
    assert verdict.drifted
    assert {driver.component.column for driver in verdict.drivers} == {SCORE}
    assert verdict.ratio == verdict.ranked[0].ratio
    assert verdict.method is not None
    assert verdict.method["false_alarms"] == TRIGGER.false_alarms
    assert verdict.method["scores"]["false_alarms"] == TRIGGER.false_alarms / 2


def test_inputs_that_moved_are_seen_though_no_score_did(world, reference) -> None:
    window = [world.block(100, world.day(100, shift=1.5))]
    calm = score_blocks(scores(1, range(80, 81)))
    verdict = judge_with_scores(world.reference, window, TRIGGER, (reference, calm))
    assert verdict.drifted
    assert "plain" in {driver.component.column.name for driver in verdict.drivers}


def test_without_scores_the_inputs_have_the_whole_rate_and_the_reason_is_told(world, reference) -> None:
    window = [world.block(100)]
    alone = judge(world.reference, window, TRIGGER)
    verdict = judge_with_scores(world.reference, window, TRIGGER, "not scored")
    assert (verdict.ratio, verdict.p_value) == (alone.ratio, alone.p_value)
    assert [reason for component, reason in verdict.unjudged if component.column == SCORE] == ["not scored"]
    short = score_reference(scores(1, range(TRAINED, TRAINED + 5)), "floods-0123")
    verdict = judge_with_scores(world.reference, window, TRIGGER, (short, score_blocks(scores(1, range(80, 81)))))
    assert verdict.ratio == alone.ratio
    assert "a history of 5 blocks" in str(verdict.unjudged[-1][1])
