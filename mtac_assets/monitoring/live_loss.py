"""Is the loss on one set of days worse than on another, and not by chance? Two sets of days of one model, so nothing is paired.

Days are what is independent, on both sides. The difference of the two mean losses is studentised by the jackknife errors of
both, and judged twice as paired comparisons are (evaluation.compare): against the same ratio in resamples of both sets of days
(bootstrap-t) and against Student's t with Welch's degrees of freedom. The larger p-value and the wider interval count. Sources:
Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 11, 12 and 16; Welch, Biometrika 34 (1947).

Bad days come in rows, and then a week says less than seven days. So the errors are widened by what the lag-1 autocorrelation of the
days' losses asks for: estimated from both sets of days together, corrected for the bias of short series (Kendall, Biometrika 41
(1954)), never below 0; the widening after Bayley and Hammersley, Supplement to the JRSS 8 (1946). docs/performance.md has the
measured rates with and without.

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
MOST_CORRELATION = 0.9


@dataclass(frozen=True)
class Difference:
    """How much higher the loss is on the live days: `effect` > 0 is worse.

    `p_value`: one-sided, of "higher by no more than `min_effect`". `autocorrelation`: what the errors were widened for. Where something is None, `reason` says why; None alarms nobody.
    """

    effect: float
    low: float | None
    high: float | None
    p_value: float | None
    min_effect: float
    autocorrelation: float | None = None
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
        return Difference(
            effect, None, None, None, min_effect, reason=f"{few} days are too few to tell a change from chance"
        )
    correlation = _autocorrelation(parts)
    variances = [
        _jackknife_variance(part.without_day) * _widening(correlation, len(part.without_day)) for part in parts
    ]
    error = float(np.sqrt(sum(variances)))
    if error <= 1e-12:
        return Difference(effect, None, None, None, min_effect, reason="the loss is the same on every day")
    effects = parts[0].values - parts[1].values
    errors = np.sqrt(sum(_variances(part, draw.counts) for part, draw in zip(parts, draws, strict=True)))
    # A resample of one day alone has no error but that of rounding.
    usable = np.isfinite(effects) & (errors > 1e-6 * error)
    ratios = np.divide(effects - effect, errors, out=np.full_like(effects, np.inf), where=usable)
    tail = (1 - confidence) / 2
    upper = float(np.quantile(ratios, 1 - tail, method="higher"))
    lower = float(np.quantile(np.where(usable, ratios, -np.inf), tail, method="lower"))
    if not np.isfinite([lower, upper]).all():
        reason = f"undefined in {int((~usable).sum())} of {resamples} resamples"
        return Difference(effect, None, None, None, min_effect, reason=reason)
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
        correlation,
    )


def _value(part: Resampled) -> float:
    assert part.value is not None, "a mean is defined wherever there is a row"
    return part.value


def _jackknife_variance(without_day: np.ndarray) -> float:
    days = len(without_day)
    return float((days - 1) / days * ((without_day - without_day.mean()) ** 2).sum())


def _autocorrelation(parts: list[Resampled]) -> float:
    """Lag-1 autocorrelation of the days' influences on the two means, both sets of days together, in [0, MOST_CORRELATION]."""
    series = [(len(part.without_day) - 1) * (part.without_day - part.without_day.mean()) for part in parts]
    products = sum(float((days[1:] * days[:-1]).sum()) for days in series)
    squares = sum(float((days**2).sum()) for days in series)
    if squares <= 0:
        return 0.0
    estimate = products / squares
    corrected = estimate + (1 + 3 * estimate) / float(np.mean([len(days) for days in series]))
    return float(np.clip(corrected, 0.0, MOST_CORRELATION))


def _widening(correlation: float, days: int) -> float:
    """By how much the variance of a mean over `days` neighbours is larger than their scatter makes it look."""
    lags = np.arange(1, days)
    inflation = 1 + 2 * float(((1 - lags / days) * correlation**lags).sum())
    # Correlated days also scatter less about their own mean than about the true one.
    return inflation / (1 - (inflation - 1) / (days - 1))


def _variances(part: Resampled, W: np.ndarray) -> np.ndarray:
    """The variance over days of the mean in each resample (infinitesimal jackknife), [R]."""
    days = W.shape[1]
    return (W * part.derivatives**2).sum(axis=1) * days / (days - 1)


def _welch(variances: list[float], days: tuple[int, int]) -> float:
    below = sum(variance**2 / (count - 1) for variance, count in zip(variances, days, strict=True))
    return sum(variances) ** 2 / below
