"""One picture of a row of verdicts: how far each window is from normal, against the threshold, and which columns say so.

Drawn from the stored documents alone (verdict.py), as SVG, for Dagster's metadata.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mtac_assets.evaluation.svg import (
    LETTER,
    Markup,
    Scale,
    cells,
    line,
    mark,
    path,
    picture,
    segments,
    shortened,
    text,
)
from mtac_assets.evaluation.svg_file import Key, svg_file
from mtac_assets.monitoring.state_looks import STATE_LOOKS, STYLE, state_keys
from mtac_assets.spec.errors import Finding, MtacError

COLUMNS_SHOWN = 12
WIDTH, RIGHT, TOP, MIDDLE, GAP, ROW = 1000, 990, 20, 200, 16, 19
DOTTED = 60  # windows at most, each of whose cells beyond the threshold has a dot
LINEAR = 2.0  # thresholds; beyond, the axis of a far distance goes by powers of ten
BETWEEN_TICKS = 12  # pixels at least
TICKS = (0, 1, 2, 3, 4, 6, 10, 20, 50, 100, 1000, 10_000)
SHADES = ("#fff5eb", "#fee6ce", "#fdd0a2", "#fdae6b", "#fd8d3c", "#f16913", "#d94801", "#a63603", "#7f2704")
"""Of 0 to 2 thresholds. "Oranges" of ColorBrewer (Harrower and Brewer, 2003)."""
RULES = (
    ".trail{stroke:#9aa3ad;fill:none}.threshold{stroke-dasharray:6 4}"
    ".beyond{stroke:#fff;stroke-width:3.4;stroke-linecap:round;fill:none}"
    + "".join(f".shade{n}{{fill:{shade}}}" for n, shade in enumerate(SHADES))
)


def draw(documents: Sequence[Mapping[str, Any]], title: str = "Drift") -> str:
    """SVG of the verdicts' documents, oldest first, each with its `state`. Raises MtacError where there is none."""
    if not documents:
        raise MtacError(
            Finding(
                "no verdict to draw", "drift chart", "one window or more", "judge a window of the model's data first"
            )
        )
    names = _names(documents)
    left = min(300.0, max([64.0, *(LETTER * len(name) + 14 for name in names)]))
    step = (RIGHT - left) / len(documents)
    at = [left + step * (place + 0.5) for place in range(len(documents))]
    floor = MIDDLE + GAP + ROW * max(len(names), 1)
    parts = [
        *_distances(at, documents, left),
        *_columns(at, step, documents, names, left),
        *_dates(at, documents, floor + 15),
        *(_shades(floor + 27) if names else ()),
    ]
    rate = next((d["method"]["false_alarms"] for d in documents if d["method"]), None)
    told = "threshold" if rate is None else f"threshold, passed by {rate:.2%} of windows without drift"
    legend = [*state_keys(document["state"] for document in documents), Key(told, "normal threshold")]
    drawn = picture(WIDTH, floor + (42 if names else 20), parts, "distance of each window, and of its columns")
    return svg_file(title, [drawn], legend, STYLE + RULES)


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


def _distances(at: Sequence[float], documents: Sequence[Mapping[str, Any]], left: float) -> list[Markup]:
    ratios = [document["ratio"] for document in documents]
    known = [(x, ratio) for x, ratio in zip(at, ratios, strict=True) if ratio is not None]
    farthest = max((ratio for _, ratio in known), default=0.0)
    far = farthest > 4
    scale = Scale(-0.08, _height(farthest * 1.5) if far else max(farthest, 1.0) * 1.15, MIDDLE, TOP)

    def y(ratio: float) -> float:
        return scale(_height(ratio) if far else ratio)

    parts = [text(left, 10, "distance, in thresholds", "caption")]
    above = math.inf
    for tick in [tick for tick in TICKS if tick <= farthest] if far else scale.ticks(4):
        if above - y(tick) >= BETWEEN_TICKS:
            above = y(tick)
            parts += [line(left, above, RIGHT, above, "grid"), text(left - 6, above + 3.5, f"{tick:,g}", "tick", "end")]
    parts.append(line(left, y(1), RIGHT, y(1), "normal threshold"))
    if len(known) > 1:
        parts.append(path([(x, y(ratio)) for x, ratio in known], "trail"))
    for x, ratio, document in zip(at, ratios, documents, strict=True):
        look = STATE_LOOKS[document["state"]]
        parts.append(mark(x, y(ratio or 0.0), look.shape, look.css))
    return parts


def _height(ratio: float) -> float:
    """A far distance on the axis: by powers of ten beyond `LINEAR`, each as high as all below that."""
    return ratio if ratio <= LINEAR else LINEAR * (1 + math.log10(ratio / LINEAR))


def _columns(
    at: Sequence[float], step: float, documents: Sequence[Mapping[str, Any]], names: Sequence[str], left: float
) -> list[Markup]:
    top = MIDDLE + GAP
    if not names:
        return [text((left + RIGHT) / 2, top + ROW / 2 + 4, "no column stands out", "caption", "middle")]
    rows = {name: top + ROW * row for row, name in enumerate(names)}
    boxes: dict[int, list[tuple[float, float, float]]] = {}
    beyond = []
    for x, document in zip(at, documents, strict=True):
        for one in document["components"]:
            y = rows.get(component_text(one))
            if y is None:
                continue
            shade = min(int(one["ratio"] / 2 * len(SHADES)), len(SHADES) - 1)
            boxes.setdefault(shade, []).append((x - step / 2, y, step))
            if one["ratio"] > 1 and len(documents) <= DOTTED:
                beyond.append((x, y + ROW / 2))
    parts = [text(left - 6, y + ROW / 2 + 4, shortened(name, left - 10), "label", "end") for name, y in rows.items()]
    parts += [cells(boxes[shade], ROW - 1, f"shade{shade}") for shade in sorted(boxes)]
    return [*parts, segments(((x, y, x, y) for x, y in beyond), "beyond")]


def _dates(at: Sequence[float], documents: Sequence[Mapping[str, Any]], y: float) -> list[Markup]:
    every = -(-len(documents) // 12)
    return [
        text(x, y, shortened(_day(document["keys"]), 80), "tick", "middle")
        for x, document in list(zip(at, documents, strict=True))[::every]
    ]


def _shades(y: float) -> list[Markup]:
    """What the shades mean, at the right, with the dot of what is beyond the threshold."""
    wide, left = 14, RIGHT - 320
    parts = [text(left - 8, y + 9, "a column's distance: 0", "tick", "end")]
    parts += [cells([(left + wide * n, y, wide)], 11, f"shade{n}") for n in range(len(SHADES))]
    return [*parts, text(left + wide * len(SHADES) + 8, y + 9, "2 thresholds and more; dot: beyond 1", "tick")]


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
