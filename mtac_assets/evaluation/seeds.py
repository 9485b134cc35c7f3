"""How far the luck of a seed moves a metric: the same recipe, trained by several seeds, tested on the same rows.

What a gate should not mistake for progress. What does not belong here: training them (`mtac seeds` does), judging one model by rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """Of one metric over seeds, in the metric's unit: sample standard deviation with its interval, and the values [S] themselves.

    `seed_deviation` is what a champion gate has to know so that a seed becomes champion by luck no more often than it allows.
    """

    metric: str
    values: tuple[float, ...]
    mean: float
    deviation: float
    low: float
    high: float

    @property
    def seed_deviation(self) -> float:
        """The deviation, rounded up to two significant digits."""
        if self.deviation == 0:
            return 0.0
        digit = 10.0 ** (math.floor(math.log10(self.deviation)) - 1)
        return round(math.ceil(self.deviation / digit - 1e-9) * digit, 12)


def spread(metric: str, values: Sequence[float], confidence: float = 0.95) -> Spread:
    """The spread of a metric's values [S], S >= 2, each from a seed of its own.

    The interval of the deviation is the chi-square one, exact where the values are normal. Raises ValueError for fewer than two
    values, or one that is not finite.
    """
    import numpy as np
    from scipy import stats

    if len(values) < 2 or not all(math.isfinite(value) for value in values):
        raise ValueError(f"the spread of {metric} needs at least two finite values, not {list(values)}")
    deviation, freedom = float(np.std(values, ddof=1)), len(values) - 1
    low, high = (
        deviation * math.sqrt(freedom / stats.chi2.ppf(level, freedom))
        for level in ((1 + confidence) / 2, (1 - confidence) / 2)
    )
    return Spread(metric, tuple(values), float(np.mean(values)), deviation, low, high)
