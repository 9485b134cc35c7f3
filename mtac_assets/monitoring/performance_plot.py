"""The picture of a model's live performance: log loss by window with its interval, against the line of its own test rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = {"OK": "#0072B2", "WATCH": "#E69F00", "ALARM": "#D55E00", "INSUFFICIENT": "#9aa3ad"}
"""After Okabe and Ito, as everywhere; a state has a shape of its own too."""
MARKERS = {"OK": "o", "WATCH": "D", "ALARM": "X", "INSUFFICIENT": "o"}
REFERENCE = "#3b4652"


def draw(document: Mapping[str, Any], path: Path) -> Path:
    """Write `picture` to a file."""
    write_atomic(path, picture(document))
    return path


def picture(document: Mapping[str, Any]) -> bytes:
    """PNG for `Performance.document()`. The reference's band is its interval; small dots are days."""
    import io

    import matplotlib as mpl
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    from mtac_assets.evaluation.plots import STYLE

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 4.2), layout="constrained")
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        _losses(top, document)
        _rates(bottom, document)
        top.set_title(f"{document['model_id']}: log loss on live labels ({document['state']}), less is better")
        bottom.xaxis_date()
        bottom.xaxis.set_major_locator(ticks := AutoDateLocator(maxticks=10))
        bottom.xaxis.set_major_formatter(ConciseDateFormatter(ticks))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None}, pil_kwargs={"optimize": True})
    return buffer.getvalue()


def _losses(axis: Axes, document: Mapping[str, Any]) -> None:
    reference = document["reference"]["metrics"]["log_loss"]
    axis.axhline(reference["value"], color=REFERENCE, linewidth=1.4, label="its own test rows")
    if reference["low"] is not None:
        axis.axhspan(reference["low"], reference["high"], color=REFERENCE, alpha=0.12, linewidth=0)
    if document["reference"].get("validation") is not None:  # documents of earlier versions do not have it
        axis.axhline(
            document["reference"]["validation"],
            color=REFERENCE,
            linewidth=1,
            linestyle=":",
            label="its validation rows",
        )
    shown: set[str] = set()
    for window in document["windows"]:
        if window["metrics"] is None:
            continue
        loss, colour = window["metrics"]["log_loss"], COLOURS[window["state"]]
        days = [_at(entry["day"], 0.5) for entry in window["by_day"]]
        axis.plot(days, [entry["log_loss"] for entry in window["by_day"]], ".", color=colour, alpha=0.45, markersize=4)
        begin, end = _at(window["first"]), _at(window["last"], 1)
        axis.hlines(loss["value"], begin, end, color=colour, linewidth=2)
        middle = begin + (end - begin) / 2
        if loss["low"] is not None:
            axis.vlines(middle, loss["low"], loss["high"], color=colour, linewidth=2)
        filled = colour if window["state"] != "INSUFFICIENT" else "white"
        label = None if window["state"] in shown else window["state"]
        shown.add(window["state"])
        axis.plot(
            [middle], [loss["value"]], MARKERS[window["state"]], color=colour, markerfacecolor=filled, label=label
        )
    axis.margins(y=0.16)  # room for the legend
    axis.legend(loc="upper left", ncols=5)


def _rates(axis: Axes, document: Mapping[str, Any]) -> None:
    axis.axhline(document["reference"]["base_rate"], color=REFERENCE, linewidth=1.4)
    for window in document["windows"]:
        if window["base_rate"] is not None:
            begin, end = _at(window["first"]), _at(window["last"], 1)
            axis.hlines(window["base_rate"], begin, end, color="#009E73", linewidth=3)
    axis.set_title("share of positives")
    axis.set_ylim(bottom=0)


def _at(key: str, days_later: float = 0.0) -> float:
    """The beginning of a day as matplotlib counts them."""
    from matplotlib.dates import date2num

    return float(date2num(date.fromisoformat(key))) + days_later
