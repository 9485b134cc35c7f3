"""Is model a better than model b, and not by chance? A paired test on the same rows, by day.

Both models are scored on the same rows, so their shared difficulty cancels; days are resampled whole. With few days
(14 by default) a plain bootstrap promotes by chance too often. So the difference is studentised by its delete-one-day
jackknife error and judged twice: against the same ratio in resamples (the bootstrap-t, which knows skew) and against
Student's t with days - 1 degrees of freedom (which knows how few the days are). The larger p-value and the wider
interval count. Two trainings that differ by their seed alone are not equally good either: `seed_deviation` says by how
much, and its variance, once for each of the two, is added to that of the days in the p-value. Sources: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 11 and 12; for few
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
from mtac_assets.evaluation.day_statistics import MeanStatistic
from mtac_assets.evaluation.metrics import METRICS
from mtac_assets.evaluation.scored_rows import ScoredRows, scored_rows

MIN_COMPARISON_DAYS = 5


@dataclass(frozen=True)
class Comparison:
    """How much better a is than b on one metric: `effect` > 0 means that a is better, also where less is better.

    `p_value`: one-sided, of "a is better than b by no more than `min_effect`, and by the luck of seeds whose metric has the
    standard deviation `seed_deviation`"; from 1 / (resamples + 1) to 1. `low`, `high`: of the effect between these very two.
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
    seed_deviation: float
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
    seed_deviation: float = 0.0,
) -> Comparison:
    """Compare two models' scores [N] on the same labels [N] and days [N]; EvaluationError where they are unfit."""
    rows_a = scored_rows(labels, days, scores_a, "scores_a")
    rows_b = rows_a.with_scores(scores_b, "scores_b")
    resampling = resample_days(rows_a.day_count, resamples=resamples, seed=seed, confidence=confidence)
    a, b = (resampled(rows, metric, resampling) for rows in (rows_a, rows_b))
    return compare_resampled(a, b, resampling, min_effect=min_effect, seed_deviation=seed_deviation)


@dataclass(frozen=True, eq=False)
class Resampled:
    """One model's metric as it is, without each day [D], in each resample [R], and each resample's day influences [R, D].
    `better`: +1 where more is better, -1 where less is. `unit`: what is drawn where it is not days.

    None where the rows have one class only and the metric needs both; `reason` then says so.
    """

    metric: str
    better: int
    rows: int
    value: float | None
    without_day: np.ndarray
    values: np.ndarray
    derivatives: np.ndarray
    reason: str | None = None
    unit: str = "day"


def resampled(rows: ScoredRows, metric: str, resampling: Resampling) -> Resampled:
    """What `compare_resampled` needs of one model, computed once however many others it is compared with."""
    D = rows.day_count
    assert resampling.counts.shape[1] == D
    if METRICS[metric].needs_both and rows.single_class:
        reason = f"all {rows.rows} rows have the label {int(rows.labels[0])}"
        nothing = np.empty(0)
        return Resampled(metric, METRICS[metric].better, rows.rows, None, nothing, nothing, nothing, reason)
    statistic = METRICS[metric].statistic(rows)
    values = statistic.values(resampling.counts)
    return Resampled(
        metric,
        METRICS[metric].better,
        rows.rows,
        float(statistic.values(np.ones((1, D)))[0]),
        statistic.values(np.ones((D, D)) - np.eye(D)),
        values,
        statistic.derivatives(resampling.counts, values),
    )


def resampled_ratio(
    metric: str, better: int, sums: np.ndarray, counts: np.ndarray, unit: str, resampling: Resampling
) -> Resampled:
    """The same of a metric that is a ratio of sums over units: `sums`, `counts` float64 [D], such as bits and bytes of documents."""
    statistic = MeanStatistic(sums, counts)
    values = statistic.values(resampling.counts)
    with np.errstate(invalid="ignore"):  # the only unit there is: too few to judge, which is said
        without = (sums.sum() - sums) / (counts.sum() - counts)
    derivatives = statistic.derivatives(resampling.counts, values)
    value = float(sums.sum() / counts.sum())
    return Resampled(metric, better, len(sums), value, without, values, derivatives, unit=unit)


def compare_resampled(
    a: Resampled, b: Resampled, resampling: Resampling, *, min_effect: float = 0.0, seed_deviation: float = 0.0
) -> Comparison:
    """Compare two models measured on the same rows, in the same order, under the same resampling."""
    assert (a.metric, a.rows) == (b.metric, b.rows)
    better, days = a.better, resampling.counts.shape[1]
    known: dict[str, Any] = {
        "metric": a.metric,
        "value_a": a.value,
        "value_b": b.value,
        "min_effect": min_effect,
        "seed_deviation": seed_deviation,
        "days": days,
        "rows": a.rows,
        "resamples": resampling.resamples,
        "confidence": resampling.confidence,
        "seed": resampling.seed,
    }
    if a.value is None or b.value is None:
        return _unjudged(known, a.reason or b.reason or "undefined")
    effect = better * (a.value - b.value) + 0.0  # not -0.0 where less is better and nothing differs
    if days < MIN_COMPARISON_DAYS:
        reason = f"{days} {a.unit}s are too few to tell a difference from chance; {MIN_COMPARISON_DAYS} are needed"
        return _unjudged(known, reason, effect)
    error = _jackknife_error(a.without_day - b.without_day)
    if np.isnan(error):
        return _unjudged(known, f"one {a.unit} holds all rows of a class; without it the metric is undefined", effect)
    if error <= 1e-12 * max(abs(a.value), abs(b.value)):
        reason = f"the difference is the same on every {a.unit}"
        p_value = 1.0 if effect <= min_effect else None  # models that are one and the same end here
        return Comparison(effect=effect, low=effect, high=effect, p_value=p_value, reason=reason, **known)
    effects, errors = _effects(a, b, resampling.counts)
    usable = np.isfinite(effects) & (errors > 0)
    ratios = np.divide(effects - effect, errors, out=np.full_like(effects, np.inf), where=usable)
    # A resample without a ratio counts against a, and as infinitely far out on either side of the interval.
    tail = (1 - resampling.confidence) / 2
    upper = float(np.quantile(ratios, 1 - tail, method="higher"))
    lower = float(np.quantile(np.where(usable, ratios, -np.inf), tail, method="lower"))
    if not np.isfinite([lower, upper]).all():
        return _unjudged(known, f"undefined in {int((~usable).sum())} of {resampling.resamples} resamples", effect)
    reach = float(stats.t.ppf(1 - tail, days - 1))
    ratio = (effect - min_effect) / float(np.hypot(error, np.sqrt(2) * seed_deviation))
    by_resamples = (1 + int((ratios >= ratio).sum())) / (1 + resampling.resamples)
    return Comparison(
        effect=effect,
        low=effect - max(upper, reach) * error,
        high=effect - min(lower, -reach) * error,
        p_value=max(by_resamples, float(stats.t.sf(ratio, days - 1))),
        **known,
    )


def _unjudged(known: dict[str, Any], reason: str, effect: float | None = None) -> Comparison:
    return Comparison(effect=effect, low=None, high=None, p_value=None, reason=reason, **known)


def _jackknife_error(differences: np.ndarray) -> float:
    """Standard error of a difference from its values without each day [D]; NaN where a day cannot be left out."""
    days = len(differences)
    return float(np.sqrt((days - 1) / days * ((differences - differences.mean()) ** 2).sum()))


def _effects(a: Resampled, b: Resampled, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Effect in each resample and its standard error over days (infinitesimal jackknife), both [R]."""
    days = W.sum(axis=1)
    variance = (W * (a.derivatives - b.derivatives) ** 2).sum(axis=1) * days / (days - 1)
    return a.better * (a.values - b.values), np.sqrt(variance)
