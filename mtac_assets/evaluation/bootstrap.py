"""Resampling whole days, and the interval that a resampled metric gets.

Rows of one day share its weather and its delays, so the day is what is drawn anew (the cluster bootstrap; Davison and
Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). One set of resamples serves every metric, model
and slice, so their differences are paired.

What does not belong here: what a metric is (metrics.py), and tests between two models (compare.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

MIN_DAYS = 3  # below this an interval over days would be a guess
MAX_UNDEFINED = 0.05  # share of resamples a metric may be undefined in and still have an interval


@dataclass(frozen=True, eq=False)
class Resampling:
    """`counts` float64 [R, D]: how often each resample holds each of the D days; each row sums to D."""

    counts: np.ndarray
    confidence: float
    seed: int

    @property
    def resamples(self) -> int:
        return len(self.counts)


def resample_days(day_count: int, *, resamples: int, seed: int, confidence: float = 0.95) -> Resampling:
    """Draw `resamples` times `day_count` days with replacement, from `seed` alone."""
    assert day_count > 0
    assert resamples > 0
    assert 0 < confidence < 1
    drawn = np.random.default_rng(seed).integers(0, day_count, size=(resamples, day_count))
    flat = (drawn + np.arange(resamples)[:, None] * day_count).ravel()
    counts = np.bincount(flat, minlength=resamples * day_count).reshape(resamples, day_count)
    return Resampling(counts.astype(float), confidence, seed)


def expanded_tails(day_count: int, confidence: float) -> float:
    """The lower quantile level to read so that few days do not make the interval too short.

    A percentile interval over n days is narrower than it should be by sqrt((n - 1) / n) and by the step from t to
    normal quantiles; reading it further out makes up for both. Source: Hesterberg, "What Teachers Should Know About
    the Bootstrap", The American Statistician 69 (2015), section 4.1 (expanded percentile interval).
    """
    tail = (1 - confidence) / 2
    reach = np.sqrt(day_count / (day_count - 1)) * stats.t.ppf(tail, day_count - 1)
    return float(stats.norm.cdf(reach))


def interval(values: np.ndarray, day_count: int, confidence: float) -> tuple[float, float]:
    """The expanded percentile interval of resampled `values` [R] (no NaN) over `day_count` >= 2 days."""
    tail = expanded_tails(day_count, confidence)
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)
