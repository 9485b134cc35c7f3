"""The learning rate of each step."""

from __future__ import annotations

import math

from mtac_assets.spec.recipe import Training


def learning_rate(training: Training, step: int, steps: int) -> float:
    """The rate of step `step` (from 0) of `steps`: a linear rise over the warm-up, then the schedule's way to zero.

    `wsd` (warm-up, stable, decay) stays at the peak and falls linearly over the last `decay_share` of the steps. Sources: Hu et al.,
    "MiniCPM" (2024); Hägele et al., "Scaling laws and compute-optimal training beyond fixed training durations" (2024).
    """
    schedule, peak = training.schedule, training.learning_rate
    warmup = schedule.warmup_share * steps
    if step < warmup:
        return peak * (step + 1) / math.ceil(warmup)
    done = (step - warmup) / max(1.0, steps - warmup)
    match schedule.kind:
        case "constant":
            return peak
        case "linear":
            return peak * (1 - done)
        case "cosine":
            return peak * 0.5 * (1 + math.cos(math.pi * done))
        case "wsd":
            assert schedule.decay_share is not None, "recipe_checks hold this"
            return peak * min(1.0, (steps - step) / max(1.0, schedule.decay_share * steps))
