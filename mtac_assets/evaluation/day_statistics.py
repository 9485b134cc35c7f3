"""Metrics as functions of how often each day counts: all a bootstrap by day needs, with no pass over the rows a resample.

For W of shape [R, D] (how often resample r holds day d) a statistic gives its values [R] and its derivatives with
respect to the day counts [R, D] (the empirical influence of a day, from which the standard error of a resample comes).
The values equal scikit-learn's with `sample_weight=W[r, day]`; NaN where a resample leaves the metric undefined.

What belongs here: the arithmetic. What does not: resampling, intervals, and what is done about an undefined value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mtac_assets.evaluation.scored_rows import ScoredRows

THRESHOLDS_AT_ONCE = 64  # three arrays of R x 64 numbers stay in the cache; larger blocks took up to twice as long


class DayStatistic(Protocol):
    def values(self, W: np.ndarray) -> np.ndarray: ...

    def derivatives(self, W: np.ndarray, values: np.ndarray) -> np.ndarray: ...


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, NaN where the denominator is zero: an empty resample or one without a class has no value."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator != 0)


@dataclass(frozen=True, eq=False)
class MeanStatistic:
    """A mean over rows, such as log loss or Brier score. `sums`, `counts` float64 [D]: its sum and its rows on each day."""

    sums: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, rows: ScoredRows, losses: np.ndarray) -> MeanStatistic:
        return cls(
            np.bincount(rows.day, losses, rows.day_count), np.bincount(rows.day, minlength=rows.day_count).astype(float)
        )

    def values(self, W: np.ndarray) -> np.ndarray:
        return _divide(W @ self.sums, W @ self.counts)

    def derivatives(self, W: np.ndarray, values: np.ndarray) -> np.ndarray:
        total = (W @ self.counts)[:, None]
        return _divide(self.sums - values[:, None] * self.counts, np.broadcast_to(total, W.shape))


@dataclass(frozen=True, eq=False)
class PairStatistic:
    """ROC AUC, the share of (positive, negative) pairs in the right order, a tie counting half.

    Source: Hanley and McNeil, Radiology 143 (1982). `wins` float64 [D, D]: pairs won with the positive from day d and
    the negative from day e, so that AUC(w) = w' wins w / (w' positives . w' negatives).
    """

    wins: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    @classmethod
    def of(cls, rows: ScoredRows) -> PairStatistic:
        D = rows.day_count
        scores_pos, day_pos = rows.scores[rows.labels], rows.day[rows.labels]
        scores_neg, day_neg = rows.scores[~rows.labels], rows.day[~rows.labels]
        order = np.argsort(scores_pos)  # ascending needles keep searchsorted in the cache
        scores_pos, day_pos = scores_pos[order], day_pos[order]
        wins = np.zeros((D, D))
        for day in range(D):
            sorted_neg = np.sort(scores_neg[day_neg == day])
            if len(sorted_neg):
                below = np.searchsorted(sorted_neg, scores_pos, "left") + np.searchsorted(
                    sorted_neg, scores_pos, "right"
                )
                wins[:, day] = np.bincount(day_pos, below, D) / 2
        return cls(
            wins, np.bincount(day_pos, minlength=D).astype(float), np.bincount(day_neg, minlength=D).astype(float)
        )

    def values(self, W: np.ndarray) -> np.ndarray:
        return _divide(((W @ self.wins) * W).sum(axis=1), (W @ self.positives) * (W @ self.negatives))

    def derivatives(self, W: np.ndarray, values: np.ndarray) -> np.ndarray:
        P, N = (W @ self.positives)[:, None], (W @ self.negatives)[:, None]
        of_pairs = W @ self.wins.T + W @ self.wins
        of_counts = values[:, None] * (self.positives * N + self.negatives * P)
        return _divide(of_pairs - of_counts, np.broadcast_to(P * N, W.shape))


@dataclass(frozen=True, eq=False)
class PrecisionStatistic:
    """Average precision: precision at each positive's threshold, averaged over the positives (no interpolation).

    Source: as in scikit-learn's `average_precision_score`; ties share one threshold. The K thresholds are the distinct scores of
    positives, descending. `positives`, `negatives`: of each row its day, and the first threshold that it reaches (K: none), int [n],
    in the order of these thresholds.
    """

    threshold_count: int
    day_count: int
    positives: _Reaching
    negatives: _Reaching

    @classmethod
    def of(cls, rows: ScoredRows) -> PrecisionStatistic:
        thresholds = np.unique(rows.scores[rows.labels])
        first = len(thresholds) - np.searchsorted(thresholds, rows.scores, "right")
        positives, negatives = (_Reaching.of(rows.day[mask], first[mask]) for mask in (rows.labels, ~rows.labels))
        return cls(len(thresholds), rows.day_count, positives, negatives)

    def _counts(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Per day and threshold [D, k], for some thresholds after the other: positives at it, positives at or above it, all rows at or
        above it."""
        D = self.day_count
        true_before, false_before = np.zeros((D, 1)), np.zeros((D, 1))
        for start in range(0, self.threshold_count, THRESHOLDS_AT_ONCE):
            stop = min(start + THRESHOLDS_AT_ONCE, self.threshold_count)
            at = self.positives.counts(start, stop, D)
            true = true_before + at.cumsum(axis=1)
            false = false_before + self.negatives.counts(start, stop, D).cumsum(axis=1)
            true_before, false_before = true[:, -1:], false[:, -1:]
            yield at, true, true + false

    def _positives(self) -> np.ndarray:
        return np.bincount(self.positives.day, minlength=self.day_count).astype(float)

    def values(self, W: np.ndarray) -> np.ndarray:
        total = np.zeros(len(W))
        for counts in self._counts():
            at, true, above = (W @ of_day for of_day in counts)
            total += np.einsum("rk,rk->r", at, _precision(true, above))
        return _divide(total, W @ self._positives())

    def derivatives(self, W: np.ndarray, values: np.ndarray) -> np.ndarray:
        total = np.zeros_like(W, dtype=float)
        for day_at, day_true, day_above in self._counts():
            at, true, above = W @ day_at, W @ day_true, W @ day_above
            precision = _precision(true, above)
            at /= above
            total += precision @ day_at.T
            total += at @ day_true.T
            at *= precision
            total -= at @ day_above.T
        positives = self._positives()
        return _divide(total - values[:, None] * positives, np.broadcast_to((W @ positives)[:, None], W.shape))


@dataclass(frozen=True, eq=False)
class _Reaching:
    """Rows by the first threshold that they reach: `day` and `first`, int [n], `first` ascending."""

    day: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, day: np.ndarray, first: np.ndarray) -> _Reaching:
        order = np.argsort(first, kind="stable")
        return cls(day[order], first[order])

    def counts(self, start: int, stop: int, day_count: int) -> np.ndarray:
        """Rows of each day that reach each of the thresholds from `start` to before `stop` and none before it, float64 [D, stop - start]."""
        k = stop - start
        begin, end = np.searchsorted(self.first, (start, stop))
        cells = self.day[begin:end] * k + (self.first[begin:end] - start)
        return np.bincount(cells, minlength=day_count * k).reshape(day_count, k).astype(float)


def _precision(true: np.ndarray, above: np.ndarray) -> np.ndarray:
    """`true` / `above`, in their place. A threshold that no row of a resample reaches holds no positive of it either: it adds nothing."""
    np.maximum(above, 1e-300, out=above)
    true /= above
    return true


@dataclass(frozen=True, eq=False)
class CalibrationStatistic:
    """Expected calibration error over fixed bins. `gaps` float64 [D, B]: labels minus scores, summed; `counts` [D]."""

    gaps: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, rows: ScoredRows, bins: np.ndarray, bin_count: int) -> CalibrationStatistic:
        D = rows.day_count
        gaps = np.bincount(rows.day * bin_count + bins, rows.labels - rows.scores, D * bin_count)
        return cls(gaps.reshape(D, bin_count), np.bincount(rows.day, minlength=D).astype(float))

    def values(self, W: np.ndarray) -> np.ndarray:
        return _divide(np.abs(W @ self.gaps).sum(axis=1), W @ self.counts)

    def derivatives(self, W: np.ndarray, values: np.ndarray) -> np.ndarray:
        signed = np.sign(W @ self.gaps) @ self.gaps.T
        total = np.broadcast_to((W @ self.counts)[:, None], W.shape)
        return _divide(signed - values[:, None] * self.counts, total)
