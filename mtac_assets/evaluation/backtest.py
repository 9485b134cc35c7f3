"""The page of a backtest: one recipe trained and tested along the year, against the baselines on the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from mtac_assets.evaluation import charts
from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.metrics import METRICS
from mtac_assets.evaluation.page import render
from mtac_assets.provenance.files import write_atomic
from mtac_assets.spec.errors import Finding

CHARTED = ("roc_auc", "log_loss", "calibration_error")


def write_backtest(rows: Sequence[Mapping[str, Any]], path: Path, *, title: str) -> Path:
    """Write `backtest_report(rows)` to `path`, atomically; returns `path`."""
    write_atomic(path, backtest_report(rows, title=title).encode())
    return path


def backtest_report(rows: Sequence[Mapping[str, Any]], *, title: str) -> str:
    """The page. `rows`, in order of time: `as_of`, `model_id`, `metrics`, `baselines` as in reports, and `test_rows`."""
    if not rows:
        raise EvaluationError(
            Finding("a backtest without as-of dates", title, "one or more rows", "choose --from and --to further apart")
        )
    shared = [name for name in rows[0]["baselines"] if all(name in row["baselines"] for row in rows)]
    dates = [str(row["as_of"]) for row in rows]
    series = {metric: [("model", [row["metrics"][metric] for row in rows])] for metric in METRICS}
    for metric, lines in series.items():
        lines += [(name, [row["baselines"][name][metric] for row in rows]) for name in shared]
    # The base rate would stretch the scale of a chart in which the others are to be told apart.
    drawn = {m: [line for line in series[m] if line[0] != "base_rate" or len(series[m]) == 2] for m in CHARTED}
    return render(
        "backtest.html",
        title=title,
        rows=rows,
        names=["model", *shared],
        charts=[charts.along_chart(METRICS[metric].title, dates, drawn[metric]) for metric in CHARTED],
        means={metric: [(name, _mean(values)) for name, values in lines] for metric, lines in series.items()},
        wins={metric: _wins(series[metric], METRICS[metric].better) for metric in METRICS},
    )


def _mean(metrics: Sequence[Mapping[str, Any]]) -> float | None:
    """The mean over all dates; None where one of them has no value, since a mean over the others would be another thing."""
    values = [metric["value"] for metric in metrics]
    return None if any(value is None for value in values) else fmean(values)


def _wins(lines: Sequence[tuple[str, Sequence[Mapping[str, Any]]]], better: int) -> dict[str, int]:
    """On how many dates the model beats each of the others."""
    own = [metric["value"] for metric in lines[0][1]]
    return {
        name: sum(
            1
            for mine, metric in zip(own, metrics, strict=True)
            if mine is not None and metric["value"] is not None and better * (mine - metric["value"]) > 0
        )
        for name, metrics in lines[1:]
    }
