"""From scores to all numbers of a report: the statistics, with no file read or written and no model run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from mtac_assets.evaluation.bootstrap import Resampling, resample_days
from mtac_assets.evaluation.compare import Resampled, compare_resampled, resampled
from mtac_assets.evaluation.curves import by_day, calibration_curve, ranking_curves
from mtac_assets.evaluation.metrics import METRICS, certain_and_wrong, measure
from mtac_assets.evaluation.scored_rows import scored_rows
from mtac_assets.evaluation.slices import slices_of
from mtac_assets.spec.recipe import Evaluation

MOST_UNITS = (
    400  # more independent units than this are resampled in blocks of neighbours, which is as valid and bounded
)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The rows a model is judged on: `labels` of 0 and 1 [N], `days` as ISO strings [N] (None without time), and the
    slice columns, name to strings and None [N]. Rows whose label is unknown were set aside before."""

    labels: np.ndarray
    days: np.ndarray | None
    slices: Mapping[str, np.ndarray]


def assess(
    test: HeldOut,
    scores: np.ndarray,
    baselines: Mapping[str, np.ndarray],
    champion: np.ndarray | None,
    evaluation: Evaluation,
) -> dict[str, Any]:
    """Everything measured, as plain JSON values. `baselines` and `champion`: scores [N] on the same rows.

    Raises EvaluationError where scores or labels are unfit; every undefined number is None with its reason.
    """
    settings = evaluation.bootstrap
    rows = scored_rows(test.labels, units(test, settings.unit), scores, "scores of the model")
    resampling = resample_days(
        rows.day_count, resamples=settings.resamples, seed=settings.seed, confidence=settings.confidence
    )
    others = {name: rows.with_scores(values, f"scores of {name}") for name, values in baselines.items()}
    if champion is not None:
        others["champion"] = rows.with_scores(champion, "scores of the champion")
    kept = {
        name: {metric: resampled(part, metric, resampling) for metric in METRICS}
        for name, part in {"model": rows, **others}.items()
    }
    measured = {
        name: measure(part, resampling, drawn={metric: one.values for metric, one in kept[name].items()})
        for name, part in {"model": rows, **others}.items()
    }
    documents = {
        name: {metric: value.document() for metric, value in values.items()} for name, values in measured.items()
    }
    reference = reference_of(baselines)
    return {
        "metrics": documents["model"],
        "baselines": {name: documents[name] for name in baselines},
        "champion_metrics": documents.get("champion"),
        "comparison": _compared(kept["model"], kept["champion"], resampling) if champion is not None else None,
        "baseline_comparisons": {name: _compared(kept["model"], kept[name], resampling) for name in baselines},
        "slices": [
            entry.document()
            for entry in slices_of(
                rows,
                dict(test.slices),
                evaluation.min_slice_rows,
                resampling,
                None if reference is None else others[reference].scores,
            )
        ],
        "slice_reference": reference,
        "min_slice_rows": evaluation.min_slice_rows,
        "calibration": {
            name: calibration_curve(part, resampling)
            for name, part in {"model": rows, **others}.items()
            if name in ("model", reference, "champion")
        },
        "curves": {
            name: ranking_curves(part) for name, part in {"model": rows, **others}.items() if name != "base_rate"
        },
        "by_day": None
        if test.days is None
        else by_day(rows, test.days, {n: part.scores for n, part in others.items()}),
        "clipped_scores": {name: certain_and_wrong(part) for name, part in {"model": rows, **others}.items()},
        "bootstrap": {
            "unit": settings.unit,
            "units": rows.day_count,
            "resamples": settings.resamples,
            "confidence": settings.confidence,
            "seed": settings.seed,
            "interval": "expanded percentile (Hesterberg 2015)",
            "comparison": "bootstrap-t and jackknife t, the more cautious of the two, one-sided",
        },
    }


def points(
    test: HeldOut, scores: np.ndarray, baselines: Mapping[str, np.ndarray], evaluation: Evaluation
) -> dict[str, Any]:
    """The metrics, baselines and slices of `assess` as they are on the rows, not resampled: what a bound is held against."""
    rows = scored_rows(test.labels, units(test, evaluation.bootstrap.unit), scores, "scores of the model")
    others = {name: rows.with_scores(values, f"scores of {name}") for name, values in baselines.items()}
    documents = {
        name: {metric: value.document() for metric, value in measure(part, None).items()}
        for name, part in {"model": rows, **others}.items()
    }
    slices = slices_of(rows, dict(test.slices), evaluation.min_slice_rows, None)
    return {
        "metrics": documents["model"],
        "baselines": {name: documents[name] for name in baselines},
        "slices": [entry.document() for entry in slices],
        "min_slice_rows": evaluation.min_slice_rows,
    }


def scores_table(
    test: HeldOut, unit: str, scores: np.ndarray, baselines: Mapping[str, np.ndarray], champion: np.ndarray | None
) -> pa.Table:
    """`label`, `unit` (what is resampled), and a column of scores a model: `model`, `champion`, the baselines."""
    columns: dict[str, Any] = {"label": test.labels.astype(np.int8), "unit": units(test, unit), "model": scores}
    if champion is not None:
        columns["champion"] = champion
    return pa.table(columns | dict(baselines))


def units(test: HeldOut, unit: str) -> np.ndarray:
    """The independent unit of each row, int [N]: its day, or itself; blocks of neighbours where there are very many."""
    if unit == "day":
        assert test.days is not None, "the recipe's check holds that a recipe without time resamples rows"
        _, index = np.unique(test.days, return_inverse=True)
    else:
        index = np.arange(len(test.labels))
    count = int(index.max(initial=0)) + 1
    return index if count <= MOST_UNITS else index * MOST_UNITS // count


def reference_of(baselines: Mapping[str, Any]) -> str | None:
    """The baseline that stands beside the model in slices and charts: the strongest kind there is."""
    return next((name for name in ("hist_gradient_boosting", "logistic_regression") if name in baselines), None)


def _compared(model: Mapping[str, Resampled], other: Mapping[str, Resampled], resampling: Resampling) -> dict[str, Any]:
    """The paired comparison on every metric."""
    return {metric: compare_resampled(model[metric], other[metric], resampling).document() for metric in METRICS}
