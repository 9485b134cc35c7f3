"""The charts of a report's page as files of their own (svg_file.py), for Dagster's metadata and MLflow's artifacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mtac_assets.evaluation.charts import calibration_chart, day_chart, metric_panel, ranking_chart
from mtac_assets.evaluation.metrics import METRICS
from mtac_assets.evaluation.style import look_of
from mtac_assets.evaluation.svg import Picture
from mtac_assets.evaluation.svg_file import Key, svg_file

ZOOM = 1.25  # of those that stand alone
SHOWN_METRICS = ("roc_auc", "log_loss", "calibration_error")


def draw_all(report: Mapping[str, Any], folder: Path) -> list[str]:
    """Write each plot that the report has data for into `folder`; the file names, the most telling first."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, draw in PLOTS.items():
        plot = draw(report)
        if plot is not None:
            (folder / f"{name}.svg").write_bytes(plot.encode())
            drawn.append(f"{name}.svg")
    return drawn


def models_of(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Name to metrics of all models of a report: the model first, then champion and baselines."""
    champion = {"champion": report["champion_metrics"]} if report["champion_metrics"] else {}
    return {"model": report["metrics"], **champion, **report["baselines"]}


def model_first(curves: Mapping[str, Mapping[str, Any] | None]) -> list[tuple[str, Mapping[str, Any]]]:
    """Those that there are, the model's own before the others': a document that was read from a file has them by name."""
    present = [(name, curve) for name, curve in curves.items() if curve is not None]
    return sorted(present, key=lambda one: one[0] != "model")


def _metrics(report: Mapping[str, Any]) -> str | None:
    models = models_of(report)
    panels = [
        metric_panel(METRICS[name].title, METRICS[name].better, [(model, m[name]) for model, m in models.items()])
        for name in SHOWN_METRICS
    ]
    pictures = [panel for panel in panels if isinstance(panel, Picture)]
    return svg_file("Metrics with their intervals", pictures) if pictures else None


def _calibration(report: Mapping[str, Any]) -> str:
    curves = model_first(report["calibration"])
    title = f"Calibration, {report['calibration']['model']['method']}"
    legend = _keys(*(name for name, _ in curves), marked=True)
    return svg_file(title, [calibration_chart(curves)], legend, zoom=ZOOM)


def _ranking(report: Mapping[str, Any], kind: str, title: str) -> str | None:
    curves = model_first(report["curves"])
    if not curves:
        return None
    base_rate = report["test"]["positives"] / report["test"]["rows"]
    legend = _keys(*(name for name, _ in curves))
    return svg_file(title, [ranking_chart(curves, kind, base_rate)], legend, zoom=ZOOM)


def _by_day(report: Mapping[str, Any]) -> str | None:
    if not report["by_day"]:
        return None
    reference = report["slice_reference"]
    legend = _keys("model", *([reference] if reference else []), marked=True)
    return svg_file("Day by day", [day_chart(report["by_day"], reference)], legend)


def _keys(*names: str, marked: bool = False) -> list[Key]:
    return [Key.of(look_of(name), marked) for name in names]


PLOTS: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
    "metrics": _metrics,
    "calibration": _calibration,
    "roc": partial(_ranking, kind="roc", title="ROC"),
    "pr": partial(_ranking, kind="pr", title="Precision and recall"),
    "by_day": _by_day,
}
