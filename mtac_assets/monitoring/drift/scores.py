"""Scores beside inputs: a reference of their own, and one rate of false alarms for both.

A model's scores of rows it was fitted to are surer than any to come. So the reference of the scores also holds the days that it
was not fitted to: validation days and test days. What sets the two apart is part of the history's spread, so overfitting costs
power and makes no false alarm; the days of the test alone would be too few to tell a season from drift (decision 0012). It is
judged by the same arithmetic (judge.py) with one column in it. Each of the two families is allowed half of the recipe's rate, so
that together they keep it, however they depend on each other (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date

import numpy as np

from mtac_assets.monitoring.drift.components import Component
from mtac_assets.monitoring.drift.judge import judge
from mtac_assets.monitoring.drift.reference import Block, Reference, build
from mtac_assets.monitoring.drift.rows import SCORE, Rows
from mtac_assets.monitoring.drift.verdict import DriftVerdict
from mtac_assets.spec.recipe import DriftTrigger

PARTS = 2  # families that share the rate: inputs, scores
FEWEST_EXCEEDING = 3  # null windows beyond a threshold that is drawn from them, as the recipe's checks ask for


def score_blocks(scores: Mapping[str, np.ndarray]) -> tuple[Block, ...]:
    """Days in order, each with its scores float [N] and its day of the week."""
    return tuple(
        Block(key, Rows(score=np.asarray(scores[key], dtype=np.float64)), date.fromisoformat(key).weekday())
        for key in sorted(scores)
    )


def score_reference(scores: Mapping[str, np.ndarray], model_id: str) -> Reference:
    """The reference of the model's scores of its own days. Raises DriftError where none has rows."""
    return build(score_blocks(scores), {"model_id": model_id, "of": "scores"})


def judge_with_scores(
    reference: Reference,
    window: Sequence[Block],
    trigger: DriftTrigger,
    scores: tuple[Reference, Sequence[Block]] | str,
) -> DriftVerdict:
    """The verdict on the inputs of `window` and on its scores together; `scores`: their reference and blocks, or why there are none.

    Where scores cannot be judged the inputs have the whole rate, and the reason stands under `unjudged`. Which of the two it is
    depends on days and rows that are there, never on what they hold. Raises DriftError as `judge`.
    """
    if isinstance(scores, str):
        return _alone(judge(reference, window, trigger), scores)
    half = _half(trigger)
    theirs = judge(*scores, half)
    if theirs.drifted is None:
        return _alone(judge(reference, window, trigger), theirs.reason or "")
    inputs = judge(reference, window, half)
    if inputs.drifted is None:
        return inputs
    assert inputs.p_value is not None
    assert theirs.p_value is not None
    return replace(
        inputs,
        drifted=inputs.drifted or theirs.drifted,
        p_value=min(1.0, PARTS * min(inputs.p_value, theirs.p_value)),
        ratio=max(inputs.ratio or 0.0, theirs.ratio or 0.0),
        ranked=tuple(sorted((*inputs.ranked, *theirs.ranked), key=lambda driver: -driver.ratio)),
        unjudged=(*inputs.unjudged, *theirs.unjudged),
        method={**(inputs.method or {}), "false_alarms": trigger.false_alarms, "scores": theirs.method},
    )


def _half(trigger: DriftTrigger) -> DriftTrigger:
    rate = trigger.false_alarms / PARTS
    fewest = math.ceil(FEWEST_EXCEEDING / rate)
    return trigger.model_copy(update={"false_alarms": rate, "resamples": max(trigger.resamples, fewest)})


def _alone(verdict: DriftVerdict, why_not: str) -> DriftVerdict:
    return replace(verdict, unjudged=(*verdict.unjudged, (Component("shift", SCORE), why_not)))
