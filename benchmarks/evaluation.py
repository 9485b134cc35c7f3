"""The evaluation's own cost and its honesty: seconds for a report's numbers, and how often noise alone would be promoted."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.figure import Figure, interleaved, median_seconds

DAYS, ROWS_A_DAY, RESAMPLES, SLICES = 14, 930, 1000, (16, 3, 4)
TRIALS, ALPHA = 300, 0.05


def measure() -> list[Figure]:
    from mtac_assets.evaluation.assess import HeldOut, assess
    from mtac_assets.evaluation.bootstrap import resample_days
    from mtac_assets.evaluation.metrics import METRICS
    from mtac_assets.evaluation.metrics import measure as intervals
    from mtac_assets.evaluation.plots import draw_all
    from mtac_assets.evaluation.scored_rows import ScoredRows, scored_rows
    from mtac_assets.spec.recipe import Bootstrap, Evaluation

    rng = np.random.default_rng(0)
    labels, day, scores = world(rng, 4)
    names = ("base_rate", "logistic_regression", "hist_gradient_boosting")
    slices = {f"slice_{n}": rng.integers(0, n, len(labels)).astype(str).astype(object) for n in SLICES}
    held_out = HeldOut(labels, (np.datetime64("2013-07-15") + day).astype(str), slices)
    settings = Evaluation(bootstrap=Bootstrap(resamples=RESAMPLES, seed=1))
    baselines = dict(zip(names, scores[1:], strict=True))
    numbers = assess(held_out, scores[0], baselines, None, settings)
    numbers["test"] = {"rows": len(labels), "positives": int(labels.sum())}
    rows, few = scored_rows(labels, day, scores[0]), resample_days(DAYS, resamples=20, seed=0)
    shape = f"{len(labels):,} rows, {DAYS} days, {RESAMPLES:,} resamples"

    def by_rows(rows: ScoredRows) -> None:
        """The plain way, with the same result: every metric over the rows of each resample."""
        for counts in few.counts:
            weights = counts[rows.day]
            for reference in references().values():
                reference(rows.labels, rows.scores, sample_weight=weights)

    ours, plain, ratio = interleaved(lambda: intervals(rows, few, tuple(references())), lambda: by_rows(rows), 5)
    with tempfile.TemporaryDirectory() as folder:
        drawing = median_seconds(lambda: draw_all(numbers, Path(folder)), 3)
    return [
        Figure(
            "all numbers of a report",
            median_seconds(lambda: assess(held_out, scores[0], baselines, None, settings), 3),
            "s",
            at_most=6.0,
            detail=f"{shape}, {len(METRICS)} metrics, 4 models, {sum(SLICES)} slices with a reference, 3 paired comparisons",
        ),
        Figure(
            "resampling by day sums against passes over the rows",
            ratio,
            at_most=1.0,
            detail=f"20 resamples, {ours:.3f} s against {plain:.3f} s",
        ),
        Figure("plots of a report", drawing, "s", at_most=0.2, detail="five SVG below 30 kB"),
        Figure(
            "promotions by noise alone",
            false_promotions("log_loss"),
            "of trials",
            at_most=ALPHA,
            detail=f"{TRIALS} trials of two equal models on {DAYS} dependent days, log loss, α = {ALPHA}",
        ),
    ]


def world(
    rng: np.random.Generator, models: int, rows_a_day: int = ROWS_A_DAY
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Labels and days [N], and scores of equally good models that err by row and by day."""
    day = np.repeat(np.arange(DAYS), rows_a_day)
    logit = rng.normal(-1.3, 0.9, len(day))
    labels = rng.random(len(day)) < 1 / (1 + np.exp(-logit - (rng.gamma(1.0, 0.5, DAYS) - 0.5)[day]))
    noise = [rng.normal(0, 0.3, len(day)) + rng.normal(0, 0.3, DAYS)[day] for _ in range(models)]
    return labels, day, [1 / (1 + np.exp(-logit - one)) for one in noise]


def false_promotions(metric: str) -> float:
    """How often one of two equal models is declared better."""
    from mtac_assets.evaluation.compare import compare

    wins = 0
    for trial in range(TRIALS):
        labels, day, (a, b) = world(np.random.default_rng(trial), 2, rows_a_day=80)
        p_value = compare(labels, day, a, b, metric, resamples=200, seed=trial).p_value
        wins += p_value is not None and p_value <= ALPHA
    return wins / TRIALS


def references() -> dict:
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    return {
        "roc_auc": roc_auc_score,
        "pr_auc": average_precision_score,
        "log_loss": log_loss,
        "brier": brier_score_loss,
    }
