"""The metrics of a report: what each is, which way is better, its value and its interval.

A metric that rows do not define (one class only) has no value and says why; nothing is skipped, and NaN goes nowhere.

| name | what | source |
|---|---|---|
| roc_auc | chance that a positive is scored above a negative | Hanley and McNeil 1982 |
| pr_auc | average precision | scikit-learn's `average_precision_score` |
| log_loss | mean negative log likelihood; scores are held at float64's epsilon from 0 and 1, as scikit-learn does, and counted | Good 1952 |
| brier | mean squared error of the probability | Brier 1950 |
| calibration_error | expected calibration error over 10 bins of equal mass: the mean distance of rate and mean score | Naeini et al. 2015; equal mass after Nguyen and O'Connor 2015 |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtac_assets.evaluation.bootstrap import MAX_UNDEFINED, MIN_DAYS, Resampling, interval
from mtac_assets.evaluation.day_statistics import (
    CalibrationStatistic,
    DayStatistic,
    MeanStatistic,
    PairStatistic,
    PrecisionStatistic,
)
from mtac_assets.evaluation.scored_rows import ScoredRows

CALIBRATION_BINS = 10
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Metric:
    """`better` is +1 where more is better and -1 where less is; `needs_both`: undefined when only one class is there.

    `biased_upward`: a norm of noisy gaps, which resampling inflates; its interval reaches as far down as up (but not
    below zero, where no error is), so that a calibrated model is not declared miscalibrated.
    """

    name: str
    title: str
    better: int
    needs_both: bool
    statistic: Callable[[ScoredRows], DayStatistic]
    biased_upward: bool = False


@dataclass(frozen=True)
class MetricValue:
    """A metric with its interval; where something is None, `reason` says why.

    `undefined_resamples`: in how many resamples the metric had no value (a slice whose few positives were not drawn).
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None
    undefined_resamples: int = 0

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"value": self.value, "low": self.low, "high": self.high}
        if self.reason is not None:
            document["reason"] = self.reason
        if self.undefined_resamples:
            document["undefined_resamples"] = self.undefined_resamples
        return document


def row_log_loss(rows: ScoredRows) -> np.ndarray:
    """The log loss of each row, float64 [N]."""
    scores = np.clip(rows.scores, EPSILON, 1 - EPSILON)
    return -np.log(np.where(rows.labels, scores, 1 - scores))


def certain_and_wrong(rows: ScoredRows) -> int:
    """How many rows would have an infinite log loss without the clipping: scored exactly 0 or 1, and wrong."""
    return int(np.sum((rows.scores == 0) & rows.labels) + np.sum((rows.scores == 1) & ~rows.labels))


def calibration_bins(scores: np.ndarray) -> np.ndarray:
    """The bin of each score, int [N]: bins of equal mass, closed on the right; equal scores never part, so ties merge bins."""
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]))
    return np.searchsorted(edges, scores, side="left")


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", "ROC AUC", +1, True, PairStatistic.of),
        Metric("pr_auc", "PR AUC", +1, True, PrecisionStatistic.of),
        Metric("log_loss", "Log loss", -1, False, lambda rows: MeanStatistic.of(rows, row_log_loss(rows))),
        Metric(
            "brier", "Brier score", -1, False, lambda rows: MeanStatistic.of(rows, (rows.scores - rows.labels) ** 2)
        ),
        Metric(
            "calibration_error",
            "Calibration error",
            -1,
            False,
            lambda rows: CalibrationStatistic.of(rows, calibration_bins(rows.scores), CALIBRATION_BINS),
            biased_upward=True,
        ),
    )
}


def point(rows: ScoredRows, metric: str) -> float | None:
    """The metric's value on all rows, each counted once; None where it is undefined."""
    if METRICS[metric].needs_both and rows.single_class:
        return None
    return float(METRICS[metric].statistic(rows).values(np.ones((1, rows.day_count)))[0])


def measure(
    rows: ScoredRows,
    resampling: Resampling | None,
    metrics: tuple[str, ...] = tuple(METRICS),
    *,
    drawn: Mapping[str, np.ndarray] | None = None,
) -> dict[str, MetricValue]:
    """Each metric's value and interval; `resampling` is over the days of `rows.day_keys`; without one there are no intervals. `drawn`: values [R] in the resamples
    of metrics for which they are known already."""
    known = drawn or {}
    return {name: _measure(rows, METRICS[name], resampling, known.get(name)) for name in metrics}


def _measure(rows: ScoredRows, metric: Metric, resampling: Resampling | None, drawn: np.ndarray | None) -> MetricValue:
    assert resampling is None or resampling.counts.shape[1] == rows.day_count
    if metric.needs_both and rows.single_class:
        return MetricValue(None, None, None, f"all {rows.rows} rows have the label {int(rows.labels[0])}")
    statistic = metric.statistic(rows)
    value = float(statistic.values(np.ones((1, rows.day_count)))[0])
    if resampling is None:
        return MetricValue(value, None, None, "not resampled")
    days = len(np.unique(rows.day))
    if days < MIN_DAYS:
        return MetricValue(value, None, None, f"{days} days are too few to resample")
    resampled = statistic.values(resampling.counts) if drawn is None else drawn
    defined = resampled[~np.isnan(resampled)]
    undefined = len(resampled) - len(defined)
    if undefined > MAX_UNDEFINED * len(resampled):
        reason = f"undefined in {undefined} of {len(resampled)} resamples"
        return MetricValue(value, None, None, reason, undefined)
    low, high = interval(defined, days, resampling.confidence)
    if metric.biased_upward:
        low = max(0.0, min(low, 2 * value - high))
    return MetricValue(value, low, high, None, undefined)
