"""One picture of a row of verdicts: how far each window is from normal, against the threshold, and which columns say so.

Drawn from the stored documents alone (verdict.py), as PNG, for Dagster's metadata and the pages.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from mtac_assets.spec.errors import Finding, MtacError

COLUMNS_SHOWN = 12
LOOKS = {  # colour and marker of a state; colours after Okabe and Ito, told apart by shape too
    "OK": ("#0072B2", "o"),
    "WATCH": ("#E69F00", "D"),
    "ALARM": ("#D55E00", "s"),
    "INSUFFICIENT": ("#7A7A7A", "x"),
}


def draw(documents: Sequence[Mapping[str, Any]], title: str = "Drift") -> bytes:
    """PNG of the verdicts' documents, oldest first, each with its `state`. Raises MtacError where there is none."""
    if not documents:
        raise MtacError(
            Finding(
                "no verdict to draw", "drift chart", "one window or more", "judge a window of the model's data first"
            )
        )
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from mtac_assets.evaluation.plots import STYLE

    names = _names(documents)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.2, 3.1 + 0.24 * len(names)), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 0.24 * max(len(names), 1)])
        _distances(above, documents, title)
        _columns(below, documents, names)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", metadata={"Software": None}, pil_kwargs={"optimize": True})
    return stream.getvalue()


def sentence(document: Mapping[str, Any]) -> str:
    """A verdict in a line: its state, and the columns that drive it with how far they moved."""
    if document["drifted"] is None:
        return f"{document['state']}: {document['reason']}"
    told = [_effect(one) for one in document["components"] if one["drives"]]
    more = f" and {len(told) - 3} more" if len(told) > 3 else ""
    return f"{document['state']}: {'; '.join(told[:3])}{more}" if told else f"{document['state']}: nothing beyond the threshold"  # fmt: skip


def component_text(one: Mapping[str, Any]) -> str:
    """A component's name as a person reads it: "shift of distance", "correlation of humidity and wind_speed"."""
    column = one["column"] if one["role"] != "raw" else f"raw {one['column']}"
    return f"{one['kind']} of {column}" + (f" and {one['other']}" if one["other"] else "")


def _effect(one: Mapping[str, Any]) -> str:
    size = f"{one['effect']:.1%}" if one["unit"] == "share" else f"{one['effect']:.2f} {one['unit']}"
    return f"{component_text(one)} {size}"


def _distances(axis: Any, documents: Sequence[Mapping[str, Any]], title: str) -> None:
    ratios = [document["ratio"] for document in documents]
    known = [(place, ratio) for place, ratio in enumerate(ratios) if ratio is not None]
    axis.plot([place for place, _ in known], [ratio for _, ratio in known], color="#9aa3ad", linewidth=1)
    for state, (colour, marker) in LOOKS.items():
        held = [place for place, document in enumerate(documents) if document["state"] == state]
        if held:
            heights = [ratios[place] or 0.0 for place in held]
            axis.plot(held, heights, marker, color=colour, markersize=5, label=f"{state} ({len(held)})", zorder=3)
    rate = next((d["method"]["false_alarms"] for d in documents if d["method"]), None)
    told = "threshold" if rate is None else f"threshold, passed by {rate:.2%} of windows without drift"
    axis.axhline(1, color="#3b4652", linewidth=1.2, linestyle="--", label=told)
    farthest = max((ratio for _, ratio in known), default=0.0)
    if farthest > 4:
        axis.set_yscale("symlog", linthresh=2)
        ticks = [tick for tick in (0, 1, 2, 3, 4, 6, 10, 20, 50, 100, 1000, 10_000) if tick <= farthest]
        axis.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.set_ylim(-0.08, max(farthest, 1.0) * (1.5 if farthest > 4 else 1.15))
    axis.set_ylabel("distance, in thresholds")
    axis.set_title(title, pad=22)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, borderaxespad=0.2)


def _columns(axis: Any, documents: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    import numpy as np

    ratios = np.full((max(len(names), 1), len(documents)), np.nan)
    for place, document in enumerate(documents):
        for one in document["components"]:
            if component_text(one) in names:
                ratios[names.index(component_text(one)), place] = one["ratio"]
    shown = axis.imshow(ratios, aspect="auto", cmap="Oranges", vmin=0, vmax=2, interpolation="nearest")
    for row, place in zip(*np.nonzero(ratios > 1), strict=True):
        if len(documents) <= 60:
            axis.plot(place, row, ".", color="white", markersize=3)
    axis.set_yticks(range(len(names)), list(names))
    axis.grid(visible=False)
    if not names:
        axis.set_yticks([])
        axis.text(0.5, 0.5, "no column stands out", transform=axis.transAxes, ha="center", va="center", color="#5b6672")
    every = -(-len(documents) // 12)
    places = list(range(0, len(documents), every))
    axis.set_xticks(places, [_day(documents[place]["keys"]) for place in places])
    axis.figure.colorbar(shown, ax=axis, label="thresholds", ticks=[0, 1, 2], extend="max", pad=0.01)


def _day(keys: Sequence[str]) -> str:
    """The last day of a window without its year, or its key as it is where that is no date."""
    key = keys[-1] if keys else ""
    return key[5:] if len(key) == 10 and key[4] == key[7] == "-" else key


def _names(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """The components that came nearest to the threshold or passed it, those that went farthest first."""
    farthest: dict[str, float] = {}
    for document in documents:
        for one in document["components"]:
            if one["effect"] >= one["floor"] and one["ratio"] > 0.7:
                name = component_text(one)
                farthest[name] = max(farthest.get(name, 0.0), one["ratio"])
    return sorted(farthest, key=lambda name: (-farthest[name], name))[:COLUMNS_SHOWN]
