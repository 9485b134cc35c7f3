"""Small PNG plots (matplotlib, Agg) for places that show pictures only: Dagster's metadata, MLflow's artifacts.

The pages draw their own SVG (charts.py); here the same data in the same looks, each picture below 60 kB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtac_assets.evaluation.metrics import METRICS
from mtac_assets.evaluation.style import look_of

LARGEST = 60_000  # bytes
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa3ad",
    "axes.labelcolor": "#3b4652",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e6e9ed",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": "#5b6672",
    "ytick.color": "#5b6672",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.dpi": 100,
    "savefig.facecolor": "white",
    "svg.hashsalt": "mtac",
}


def draw_all(report: Mapping[str, Any], folder: Path) -> list[str]:
    """Write each plot that the report has data for into `folder`; the file names, the most telling first."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    with mpl.rc_context(STYLE):
        for name, draw in PLOTS.items():
            figure = draw(report)
            if figure is None:
                continue
            path = folder / f"{name}.png"
            if (engine := figure.get_layout_engine()) is not None:
                engine.execute(figure)
                figure.set_layout_engine("none")  # with an engine, `savefig` draws everything twice
            figure.savefig(path, metadata={"Software": None})
            assert path.stat().st_size < LARGEST, f"{path.name} has {path.stat().st_size} bytes"
            drawn.append(path.name)
    return drawn


def models_of(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Name to metrics of all models of a report: the model first, then champion and baselines."""
    champion = {"champion": report["champion_metrics"]} if report["champion_metrics"] else {}
    return {"model": report["metrics"], **champion, **report["baselines"]}


def _metrics(report: Mapping[str, Any]) -> Figure:
    models = models_of(report)
    figure = Figure(figsize=(9.2, 0.55 + 0.32 * len(models) + 0.4), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for axis, name in zip(axes, ("roc_auc", "log_loss", "calibration_error"), strict=True):
        for y, (model, metrics) in enumerate(reversed(models.items())):
            look, metric = look_of(model), metrics[name]
            if metric["value"] is None:
                continue
            if metric["low"] is not None:
                axis.plot(
                    [metric["low"], metric["high"]], [y, y], color=look.colour, linewidth=2.2, solid_capstyle="round"
                )
            axis.plot(metric["value"], y, look.marker, color=look.colour, markersize=6)
        axis.set_title(f"{METRICS[name].title} ({'more' if METRICS[name].better > 0 else 'less'} is better)")
        axis.grid(axis="y", visible=False)
        axis.locator_params(axis="x", nbins=4)
    axes[0].set_yticks(range(len(models)), [look_of(name).title for name in reversed(models)])
    axes[0].set_ylim(-0.6, len(models) - 0.4)
    return figure


def _calibration(report: Mapping[str, Any]) -> Figure:
    figure, axis = _square()
    highest = 0.0
    for name, curve in report["calibration"].items():
        look, bins = look_of(name), curve["bins"]
        x, y = [entry["score"] for entry in bins], [entry["rate"] for entry in bins]
        axis.plot(
            x,
            y,
            look.dash,
            marker=look.marker,
            color=look.colour,
            markersize=4,
            label=look.title,
            zorder=3 if name == "model" else 2,
        )
        if name == "model":
            known = [entry for entry in bins if entry["low"] is not None]
            axis.vlines(
                [e["score"] for e in known],
                [e["low"] for e in known],
                [e["high"] for e in known],
                color=look.colour,
                alpha=0.45,
            )
        highest = max([highest, *x, *y])
    axis.plot([0, highest * 1.05], [0, highest * 1.05], color="#9aa3ad", linewidth=1, zorder=1)
    _named(axis, "Calibration", "mean score", "observed rate")
    axis.legend(loc="upper left")
    return figure


def _ranking(report: Mapping[str, Any], kind: str) -> Figure | None:
    curves = {name: curve for name, curve in report["curves"].items() if curve is not None}
    if not curves:
        return None
    figure, axis = _square()
    for name, curve in reversed(curves.items()):
        look = look_of(name)
        axis.plot(*zip(*curve[kind], strict=True), look.dash, color=look.colour, linewidth=1.6, label=look.title)
    if kind == "roc":
        axis.plot([0, 1], [0, 1], color="#9aa3ad", linewidth=1)
        _named(axis, "ROC", "false positive rate", "true positive rate")
        axis.legend(loc="lower right")
    else:
        axis.axhline(report["test"]["positives"] / report["test"]["rows"], color="#9aa3ad", linewidth=1)
        _named(axis, "Precision and recall", "recall", "precision")
        axis.set_ylim(0, 1.02)
        axis.legend(loc="upper right")
    return figure


def _by_day(report: Mapping[str, Any]) -> Figure | None:
    days = report["by_day"]
    if not days:
        return None
    figure = Figure(figsize=(8.4, 3.4))
    margins = {"left": 0.07, "right": 0.985, "bottom": 0.09, "top": 0.92, "hspace": 0.32}
    top, bottom = figure.subplots(2, 1, sharex=True, gridspec_kw=margins)
    at, reference = range(len(days)), report["slice_reference"]
    for name in ("model", reference):
        if name is not None:
            look = look_of(name)
            losses = [(day if name == "model" else day["others"][name])["log_loss"] for day in days]
            top.plot(at, losses, look.dash, marker=look.marker, color=look.colour, markersize=4, label=look.title)
    bottom.bar(at, [day["rate"] for day in days], color="#c9d3de", label="observed rate")
    bottom.plot(
        at, [day["mean_score"] for day in days], "o", color=look_of("model").colour, markersize=4, label="mean score"
    )
    every = -(-len(days) // 14)
    bottom.set_xticks(list(at)[::every], [day["day"][5:] for day in days][::every])
    _named(top, "Log loss by day", "", "")
    _named(bottom, "Rate and mean score by day", "", "")
    top.legend(loc="upper left", ncols=2)
    return figure


def _square() -> tuple[Figure, Axes]:
    """A figure of one picture, with room for its title and the names of its axes: to let matplotlib find it costs as much as to draw."""
    figure = Figure(figsize=(4.6, 4.0))
    return figure, figure.subplots(gridspec_kw={"left": 0.135, "right": 0.975, "bottom": 0.125, "top": 0.93})


def _named(axis: Axes, title: str, x: str, y: str) -> None:
    axis.set_title(title)
    axis.set_xlabel(x)
    axis.set_ylabel(y)


PLOTS: dict[str, Callable[[Mapping[str, Any]], Figure | None]] = {
    "metrics": _metrics,
    "calibration": _calibration,
    "roc": partial(_ranking, kind="roc"),
    "pr": partial(_ranking, kind="pr"),
    "by_day": _by_day,
}
