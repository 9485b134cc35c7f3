"""Scored rows: labels, days and scores, checked once, so that every number below stands on rows that are whole.

What belongs here: the checks that nothing further down repeats. What does not: any metric.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.spec.errors import Finding


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """N rows of D days with one model's scores.

    `labels` bool [N]; `day` int [N], an index into `day_keys` [D] (sorted; a day without rows may be among them);
    `scores` float64 [N], the probability of the positive class.
    """

    labels: np.ndarray
    day: np.ndarray
    day_keys: np.ndarray
    scores: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.labels)

    @property
    def day_count(self) -> int:
        return len(self.day_keys)

    @property
    def single_class(self) -> bool:
        return bool(self.labels.all() or not self.labels.any())

    def select(self, mask: np.ndarray) -> ScoredRows:
        """The rows of a slice; the days stay those of the whole, so that all slices share one set of resamples."""
        return ScoredRows(self.labels[mask], self.day[mask], self.day_keys, self.scores[mask])

    def with_scores(self, scores: np.ndarray, where: str) -> ScoredRows:
        """The same rows scored by another model."""
        return ScoredRows(self.labels, self.day, self.day_keys, checked_scores(scores, self.rows, where))


def scored_rows(labels: np.ndarray, days: np.ndarray, scores: np.ndarray, where: str = "scores") -> ScoredRows:
    """Check and index. Labels are 0 or 1, scores are finite and within [0, 1], all three have N > 0 entries.

    `days` may be of any sortable type (days since the epoch, keys, dates). Raises EvaluationError.
    """
    labels, days = np.asarray(labels), np.asarray(days)
    if labels.ndim != 1 or len(labels) == 0 or days.shape != labels.shape:
        raise EvaluationError(
            Finding(
                f"{labels.shape} labels and {days.shape} days",
                where,
                "as many days as labels, one of each a row, and at least one row",
                "evaluate on partitions that hold labelled rows",
            )
        )
    if not np.isin(labels, (0, 1)).all():  # NaN is in neither
        unlike = labels[~np.isin(labels, (0, 1))]
        raise EvaluationError(
            Finding(
                f"{len(unlike)} labels that are neither 0 nor 1, the first is {unlike[0]!r}",
                where,
                "labels of 0 or 1; rows without a label are set aside and counted before they come here",
                "check the recipe's label function",
            )
        )
    day_keys, day = np.unique(days, return_inverse=True)
    return ScoredRows(labels.astype(bool), day.reshape(-1), day_keys, checked_scores(scores, len(labels), where))


def checked_scores(scores: np.ndarray, rows: int, where: str) -> np.ndarray:
    """`scores` as float64 [rows]; EvaluationError where one is missing, NaN, infinite or no probability."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != (rows,):
        raise EvaluationError(
            Finding(
                f"scores of shape {scores.shape} for {rows} rows",
                where,
                f"shape ({rows},)",
                "return one probability a row",
            )
        )
    bad = ~np.isfinite(scores) | (scores < 0) | (scores > 1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise EvaluationError(
            Finding(
                f"{int(bad.sum())} of {rows} scores are no probability; row {first} has {float(scores[first])!r}",
                where,
                "a finite number from 0 to 1",
                "look at the model's last layers and at the training curve; a model that answers NaN is not evaluated",
            )
        )
    return scores
