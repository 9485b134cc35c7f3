"""Curves of a report: calibration, ROC, precision over recall, and each day by itself. Data only; drawing is elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from mtac_assets.evaluation.bootstrap import MIN_DAYS, Resampling, interval
from mtac_assets.evaluation.metrics import CALIBRATION_BINS, calibration_bins, point, row_log_loss
from mtac_assets.evaluation.scored_rows import ScoredRows

CURVE_POINTS = 160  # enough for a smooth line, few enough for a page
HISTOGRAM_BINS = 40
FIRST_RECALL = 0.01


def calibration_curve(rows: ScoredRows, resampling: Resampling) -> dict[str, Any]:
    """Mean score and observed rate in each bin of the calibration error, the rate with its interval by day."""
    bins = calibration_bins(rows.scores)
    D, B = rows.day_count, CALIBRATION_BINS
    counts = np.bincount(rows.day * B + bins, minlength=D * B).reshape(D, B).astype(float)
    positives = np.bincount(rows.day * B + bins, rows.labels, D * B).reshape(D, B)
    resampled_counts = resampling.counts @ counts
    rates = np.divide(
        resampling.counts @ positives,
        resampled_counts,
        out=np.full_like(resampled_counts, np.nan),
        where=resampled_counts > 0,
    )
    entries = []
    for b in range(B):
        mask = bins == b
        if not mask.any():
            continue  # equal scores merged this bin into its neighbour: it holds no row
        days = int((counts[:, b] > 0).sum())
        drawn = rates[:, b][~np.isnan(rates[:, b])]
        enough = days >= MIN_DAYS and len(drawn) >= 0.95 * resampling.resamples
        low, high = interval(drawn, days, resampling.confidence) if enough else (None, None)
        entries.append(
            {
                "rows": int(mask.sum()),
                "score": float(rows.scores[mask].mean()),
                "rate": float(rows.labels[mask].mean()),
                "low": low,
                "high": high,
            }
        )
    counts_of_scores, edges = np.histogram(rows.scores, bins=HISTOGRAM_BINS, range=(0.0, 1.0))
    return {
        "bins": entries,
        "method": f"{CALIBRATION_BINS} bins of equal mass",
        "histogram": {"counts": counts_of_scores.tolist(), "edges": [float(edge) for edge in edges]},
    }


def ranking_curves(rows: ScoredRows) -> dict[str, Any] | None:
    """ROC and precision-recall points, thinned to `CURVE_POINTS` each; None where there is one class only."""
    if rows.single_class:
        return None
    false_rate, true_rate, _ = roc_curve(rows.labels, rows.scores)
    precision, recall, _ = precision_recall_curve(rows.labels, rows.scores)
    # Below 1 % of the positives precision is 0 or 1 by the luck of single rows: the line starts there.
    kept = [i for i in _thin(1 - recall) if recall[i] >= FIRST_RECALL]
    return {
        "roc": [[float(false_rate[i]), float(true_rate[i])] for i in _thin(false_rate)],
        "pr": [[float(recall[i]), float(precision[i])] for i in kept],
    }


def by_day(rows: ScoredRows, days: np.ndarray, others: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Each day's rows, rate, mean score, log loss and ROC AUC of the model, and of `others` (name to scores [N]).

    `days` [N]: the day of each row, as a string that sorts by time.
    """
    entries = []
    for name in sorted(set(days.tolist())):
        mask = days == name
        day = rows.select(mask)
        entries.append(
            {
                "day": name,
                "rows": day.rows,
                "rate": float(day.labels.mean()),
                "mean_score": float(day.scores.mean()),
                "log_loss": float(row_log_loss(day).mean()),
                "roc_auc": point(day, "roc_auc"),
                "others": {
                    other: _day_of(ScoredRows(day.labels, day.day, day.day_keys, scores[mask]))
                    for other, scores in others.items()
                },
            }
        )
    return entries


def _day_of(rows: ScoredRows) -> dict[str, float | None]:
    return {"log_loss": float(row_log_loss(rows).mean()), "roc_auc": point(rows, "roc_auc")}


def _thin(ascending: np.ndarray) -> list[int]:
    """Indices of about `CURVE_POINTS` points spread evenly along `ascending`, the ends among them."""
    wanted = np.linspace(ascending[0], ascending[-1], CURVE_POINTS)
    indices = np.searchsorted(ascending, wanted).clip(0, len(ascending) - 1)
    return sorted({0, len(ascending) - 1, *indices.tolist()})
