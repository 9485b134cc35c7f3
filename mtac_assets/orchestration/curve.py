"""A training's loss as a small picture for the asset's page, drawn as SVG: matplotlib would cost half a second a run."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import dagster as dg

WIDTH, HEIGHT = 560, 220
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 14, 30
MOST_POINTS = 240
COLOURS = {"training": "#4f46e5", "validation": "#d97706"}
Series = Sequence[tuple[float, float]]


def picture(points: Sequence[Mapping[str, Any]]) -> dg.MetadataValue:
    """The curve of `training.json` as an inline image; a sentence where there is nothing to draw."""
    drawing = draw(series(points))
    if drawing is None:
        return dg.MetadataValue.text("too short to draw")
    return dg.MetadataValue.md(f"![loss](data:image/svg+xml;base64,{base64.b64encode(drawing.encode()).decode()})")


def series(points: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Step and loss, of training and of validation; values that are no number are left out of the picture."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in COLOURS}
    for point in points:
        values = {"training": point.get("loss"), "validation": (point.get("validation") or {}).get("log_loss")}
        for name, value in values.items():
            if isinstance(value, int | float) and math.isfinite(value):
                found[name].append((float(point["step"]), float(value)))
    return found


def draw(lines: Mapping[str, Series]) -> str | None:
    """An SVG of the lines over their steps, axes with two ticks each; None with fewer than two points in all."""
    every = [point for line in lines.values() for point in line]
    if len(every) < 2:
        return None
    last = max(step for step, _ in every) or 1.0
    low, high = min(value for _, value in every), max(value for _, value in every)
    span = (high - low) or 1.0

    def x(step: float) -> float:
        return LEFT + step / last * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / span * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for value in (low, high):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="#e5e7eb"/>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end" fill="#6b7280">{value:.4f}</text>')
    for step in (0.0, last):
        anchor = "start" if step == 0 else "end"
        parts.append(
            f'<text x="{x(step):.1f}" y="{HEIGHT - 10}" text-anchor="{anchor}" fill="#6b7280">{step:,.0f}</text>'
        )
    for index, (name, line) in enumerate(lines.items()):
        if not line:
            continue
        path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in _thinned(line))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="1.6"/>')
        at = LEFT + 130 + index * 90
        parts.append(f'<text x="{at}" y="{HEIGHT - 10}" fill="{COLOURS[name]}">{escape(name)} loss</text>')
    return "".join([*parts, "</svg>"])


def _thinned(line: Series) -> Series:
    """At most `MOST_POINTS` points, the last one among them."""
    stride = max(1, math.ceil(len(line) / MOST_POINTS))
    return [*line[::stride], line[-1]]
