"""The numbers that show a person what a component saw: before and now, in the column's own units."""

from __future__ import annotations

from typing import Any

import numpy as np

from mtac_assets.monitoring.drift.bins import CategoryBins, NumericBins
from mtac_assets.monitoring.drift.components import Component, Family
from mtac_assets.monitoring.drift.reference import Reference
from mtac_assets.monitoring.drift.sketch import Layout, Sketch, total
from mtac_assets.monitoring.drift.windows import Expected, Residuals

QUARTILES = (0.25, 0.5, 0.75)
NAMED = 5  # categories that evidence lists


def evidence(
    component: Component,
    reference: Reference,
    window: Sketch,
    new: Residuals,
    members: Family,
    model: Expected,
    place: int,
) -> dict[str, Any]:
    """What `component` saw in `window` (added up) beside the whole reference; None where a side has no value."""
    layout, past = reference.layout, total(reference.sketches)
    if component.kind in ("tails", "missing", "new"):
        share = float(new.shares[0, place - members.first_share])
        sizes = members.sizes(new)[0]
        now = _share(component, layout, window)
        return {"expected": now - share, "observed": now, "rows": int(sizes[place])}
    if component.kind in ("shift", "spread"):
        index = [bins.column for bins in layout.numeric].index(component.column)
        bins, at = layout.numeric[index], _slice(layout.numeric_starts, index, len(window.bins))
        return {
            "before": _quartiles(bins, past.bins[at]),
            "now": _quartiles(bins, window.bins[at]),
            "toward": "higher" if _mean_rank(bins, window.bins[at]) >= _mean_rank(bins, past.bins[at]) else "lower",
        }
    if component.kind == "categories":
        index = [bins.column for bins in layout.categorical].index(component.column)
        at = _slice(layout.category_starts, index, len(window.categories))
        return {"moved": _moved(layout.categorical[index], past.categories[at], window.categories[at])}
    first, second = layout.pairs
    pair = next(
        n
        for n, (a, b) in enumerate(zip(first, second, strict=True))
        if (layout.numeric[a].column, layout.numeric[b].column) == (component.column, component.other)
    )
    size = len(members.shift_weights) + len(layout.numeric) + len(window.categories)
    change = float(new.linear[0, size + pair] * members.correlation_scale[pair])
    return {"change": change, "rows": int(window.together[pair])}


def _share(component: Component, layout: Layout, window: Sketch) -> float:
    place = layout.columns.index(component.column)
    if component.kind == "missing":
        return float(window.missing[place] / window.sizes[place])
    present = float(window.sizes[place] - window.missing[place])
    if component.kind == "new":
        return float(window.new[place - len(layout.numeric)]) / present
    at = _slice(layout.numeric_starts, place, len(window.bins))
    return float(window.bins[at][0] + window.bins[at][-1]) / present


def _quartiles(bins: NumericBins, counts: np.ndarray) -> list[float] | None:
    """From the bins: the upper edge of the bin that a quartile lies in; a tail's is the outermost edge."""
    if not counts.sum():
        return None
    found = np.searchsorted(np.cumsum(counts), [level * counts.sum() for level in QUARTILES])
    return [float(bins.edges[min(int(place), len(bins.edges) - 1)]) for place in found]


def _mean_rank(bins: NumericBins, counts: np.ndarray) -> float:
    return float((bins.ranks * counts).sum() / max(int(counts.sum()), 1))


def _moved(bins: CategoryBins, past: np.ndarray, now: np.ndarray) -> list[dict[str, Any]]:
    names = [*bins.known[: bins.kept], *["(all others known)"] * (bins.width - bins.kept)]
    before, after = past / max(int(past.sum()), 1), now / max(int(now.sum()), 1)
    order = np.argsort(-np.abs(after - before), kind="stable")[:NAMED]
    return [{"value": names[n], "before": float(before[n]), "now": float(after[n])} for n in order]


def _slice(starts: np.ndarray, index: int, end: int) -> slice:
    return slice(int(starts[index]), int(starts[index + 1]) if index + 1 < len(starts) else end)
