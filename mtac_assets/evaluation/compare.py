"""Is model a better than model b, and not by chance? A paired test on the same rows, by day.

Both models are scored on the same rows, so their shared difficulty cancels; days are resampled whole. With few days
(14 by default) a plain bootstrap promotes by chance too often. So the difference is studentised by its delete-one-day
jackknife error and judged twice: against the same ratio in resamples (the bootstrap-t, which knows skew) and against
Student's t with days - 1 degrees of freedom (which knows how few the days are). The larger p-value and the wider
interval count. Sources: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 11 and 12; for few
clusters Cameron, Gelbach and Miller, Review of Economics and Statistics 90 (2008). docs/evaluation.md has the measured
rate of false promotions.

What does not belong here: thresholds and verdicts (promotion decides); report layout.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from mtac_assets.evaluation.bootstrap import Resampling, resample_days
from mtac_assets.evaluation.day_statistics import DayStatistic
from mtac_assets.evaluation.metrics import METRICS
from mtac_assets.evaluation.scored_rows import ScoredRows, scored_rows

MIN_COMPARISON_DAYS = 5


@dataclass(frozen=True)
class Comparison:
    """How much better a is than b on one metric: `effect` > 0 means that a is better, also where less is better.

    `p_value`: one-sided, of "a is better than b by no more than `min_effect`"; from 1 / (resamples + 1) to 1.
    Where something is None, `reason` says why; None passes no gate.
    """

    metric: str
    value_a: float | None
    value_b: float | None
    effect: float | None
    low: float | None
    high: float | None
    p_value: float | None
    min_effect: float
    days: int
    rows: int
    resamples: int
    confidence: float
    seed: int
    reason: str | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    labels: np.ndarray,
    days: np.ndarray,
    scores_a: np.ndarray,
    scores_b: np.ndarray,
    metric: str,
    *,
    resamples: int,
    seed: int,
    confidence: float = 0.95,
    min_effect: float = 0.0,
) -> Comparison:
    """Compare two models' scores [N] on the same labels [N] and days [N]; EvaluationError where they are unfit."""
    rows_a = scored_rows(labels, days, scores_a, "scores_a")
    rows_b = rows_a.with_scores(scores_b, "scores_b")
    resampling = resample_days(rows_a.day_count, resamples=resamples, seed=seed, confidence=confidence)
    return compare_rows(rows_a, rows_b, metric, resampling, min_effect=min_effect)


def compare_rows(
    rows_a: ScoredRows, rows_b: ScoredRows, metric: str, resampling: Resampling, *, min_effect: float = 0.0
) -> Comparison:
    """`compare` on rows already checked; both hold the same rows in the same order, every day has rows."""
    assert rows_a.labels is rows_b.labels or np.array_equal(rows_a.labels, rows_b.labels)
    definition = METRICS[metric]
    known: dict[str, Any] = {
        "metric": metric,
        "min_effect": min_effect,
        "days": rows_a.day_count,
        "rows": rows_a.rows,
        "resamples": resampling.resamples,
        "confidence": resampling.confidence,
        "seed": resampling.seed,
    }
    nothing: dict[str, Any] = {"effect": None, "low": None, "high": None, "p_value": None}
    if definition.needs_both and rows_a.single_class:
        reason = f"all {rows_a.rows} rows have the label {int(rows_a.labels[0])}"
        return Comparison(value_a=None, value_b=None, reason=reason, **known, **nothing)
    a, b = definition.statistic(rows_a), definition.statistic(rows_b)
    once = np.ones((1, rows_a.day_count))
    known |= {"value_a": float(a.values(once)[0]), "value_b": float(b.values(once)[0])}
    effect = float(definition.better * (known["value_a"] - known["value_b"]))
    days = rows_a.day_count
    if days < MIN_COMPARISON_DAYS:
        reason = f"{days} days are too few to tell a difference from chance; {MIN_COMPARISON_DAYS} are needed"
        return Comparison(reason=reason, **known, **(nothing | {"effect": effect}))
    error = _jackknife_error(a, b, days)
    if np.isnan(error):
        reason = "one day holds all rows of a class; without it the metric is undefined"
        return Comparison(reason=reason, **known, **(nothing | {"effect": effect}))
    if error <= 1e-12 * max(abs(known["value_a"]), abs(known["value_b"])):
        reason = "the difference is the same on every day"
        p_value = 1.0 if effect <= min_effect else None  # models that are one and the same end here
        return Comparison(
            reason=reason, **known, **(nothing | {"effect": effect, "low": effect, "high": effect, "p_value": p_value})
        )
    resampled, resampled_errors = _effects(a, b, resampling.counts, definition.better)
    usable = np.isfinite(resampled) & (resampled_errors > 0)
    ratios = np.divide(resampled - effect, resampled_errors, out=np.full_like(resampled, np.inf), where=usable)
    # A resample without a ratio counts against a, and as infinitely far out on either side of the interval.
    tail = (1 - resampling.confidence) / 2
    upper = float(np.quantile(ratios, 1 - tail, method="higher"))
    lower = float(np.quantile(np.where(usable, ratios, -np.inf), tail, method="lower"))
    if not np.isfinite([lower, upper]).all():
        reason = f"undefined in {int((~usable).sum())} of {resampling.resamples} resamples"
        return Comparison(reason=reason, **known, **(nothing | {"effect": effect}))
    reach = float(stats.t.ppf(1 - tail, days - 1))
    ratio = (effect - min_effect) / error
    by_resamples = (1 + int((ratios >= ratio).sum())) / (1 + resampling.resamples)
    return Comparison(
        effect=effect,
        low=effect - max(upper, reach) * error,
        high=effect - min(lower, -reach) * error,
        p_value=max(by_resamples, float(stats.t.sf(ratio, days - 1))),
        **known,
    )


def _jackknife_error(a: DayStatistic, b: DayStatistic, days: int) -> float:
    """Standard error of the difference from leaving out one day at a time; NaN where a day cannot be left out."""
    without = np.ones((days, days)) - np.eye(days)
    differences = a.values(without) - b.values(without)
    return float(np.sqrt((days - 1) / days * ((differences - differences.mean()) ** 2).sum()))


def _effects(a: DayStatistic, b: DayStatistic, W: np.ndarray, better: int) -> tuple[np.ndarray, np.ndarray]:
    """Effect and its standard error over days (infinitesimal jackknife) for each row of W, both [R]."""
    effects = better * (a.values(W) - b.values(W))
    influence = a.derivatives(W) - b.derivatives(W)
    days = W.sum(axis=1)
    return effects, np.sqrt((W * influence**2).sum(axis=1) * days / np.maximum(days - 1, 1))
