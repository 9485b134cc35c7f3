"""Is the loss on one set of days worse than on another, and not by chance? Two sets of days of one model, so nothing is paired.

Days are what is independent, on both sides. The difference of the two mean losses is studentised by the jackknife errors of
both, and judged twice as paired comparisons are (evaluation.compare): against the same ratio in resamples of both sets of days
(bootstrap-t) and against Student's t with Welch's degrees of freedom. The larger p-value and the wider interval count. Sources:
Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 11, 12 and 16; Welch, Biometrika 34 (1947).

What does not belong here: windows, states and alarms (performance.py).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mtac_assets.evaluation.bootstrap import MIN_DAYS, resample_days
from mtac_assets.evaluation.compare import Resampled, resampled
from mtac_assets.evaluation.scored_rows import ScoredRows

LOSS = "log_loss"


@dataclass(frozen=True)
class Difference:
    """How much higher the loss is on the live days: `effect` > 0 is worse.

    `p_value`: one-sided, of "higher by no more than `min_effect`". Where something is None, `reason` says why; None alarms nobody.
    """

    effect: float
    low: float | None
    high: float | None
    p_value: float | None
    min_effect: float
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self)


def loss_difference(
    live: ScoredRows, reference: ScoredRows, *, resamples: int, seed: int, confidence: float, min_effect: float = 0.0
) -> Difference:
    """Mean log loss of `live` minus that of `reference`, each with its own days."""
    from scipy import stats

    draws = [
        resample_days(rows.day_count, resamples=resamples, seed=seed + n, confidence=confidence)
        for n, rows in enumerate((live, reference))
    ]
    parts = [resampled(rows, LOSS, draw) for rows, draw in zip((live, reference), draws, strict=True)]
    effect = _value(parts[0]) - _value(parts[1])
    few = min(live.day_count, reference.day_count)
    if few < MIN_DAYS:
        return Difference(effect, None, None, None, min_effect, f"{few} days are too few to tell a change from chance")
    variances = [_jackknife_variance(part.without_day) for part in parts]
    error = float(np.sqrt(sum(variances)))
    if error <= 1e-12:
        return Difference(effect, None, None, None, min_effect, "the loss is the same on every day")
    effects = parts[0].values - parts[1].values
    errors = np.sqrt(sum(_variances(part, draw.counts) for part, draw in zip(parts, draws, strict=True)))
    usable = np.isfinite(effects) & (errors > 0)
    ratios = np.divide(effects - effect, errors, out=np.full_like(effects, np.inf), where=usable)
    tail = (1 - confidence) / 2
    upper = float(np.quantile(ratios, 1 - tail, method="higher"))
    lower = float(np.quantile(np.where(usable, ratios, -np.inf), tail, method="lower"))
    if not np.isfinite([lower, upper]).all():
        reason = f"undefined in {int((~usable).sum())} of {resamples} resamples"
        return Difference(effect, None, None, None, min_effect, reason)
    freedom = _welch(variances, (live.day_count, reference.day_count))
    reach = float(stats.t.ppf(1 - tail, freedom))
    ratio = (effect - min_effect) / error
    by_resamples = (1 + int((ratios >= ratio).sum())) / (1 + resamples)
    return Difference(
        effect,
        effect - max(upper, reach) * error,
        effect - min(lower, -reach) * error,
        max(by_resamples, float(stats.t.sf(ratio, freedom))),
        min_effect,
    )


def _value(part: Resampled) -> float:
    assert part.value is not None, "a mean is defined wherever there is a row"
    return part.value


def _jackknife_variance(without_day: np.ndarray) -> float:
    days = len(without_day)
    return float((days - 1) / days * ((without_day - without_day.mean()) ** 2).sum())


def _variances(part: Resampled, W: np.ndarray) -> np.ndarray:
    """The variance over days of the mean in each resample (infinitesimal jackknife), [R]."""
    days = W.shape[1]
    return (W * part.derivatives**2).sum(axis=1) * days / (days - 1)


def _welch(variances: list[float], days: tuple[int, int]) -> float:
    below = sum(variance**2 / (count - 1) for variance, count in zip(variances, days, strict=True))
    return sum(variances) ** 2 / below
