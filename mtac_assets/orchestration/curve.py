"""A line or two as a small picture for an asset's page (a training's loss, distances of windows), drawn as SVG.

Dagster shows Markdown of fewer than 1,000 characters where it stands, and hides longer ones behind a link. So the picture is
frugal: at most `POINTS` points a line, each the mean of its share of the steps, in whole pixels relative to the one before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import dagster as dg

from mtac_assets.orchestration.metadata import image

WIDTH, HEIGHT = 420, 150
LEFT, RIGHT, TOP, BOTTOM = 44, 414, 8, 128
POINTS = (37, 12)  # of the first line, and of the second
COLOURS = ("#54c", "#d70")
LINES = ("training", "validation")
NAME_WIDTH = 130
LONGEST_SHOWN = 1000  # characters of Markdown
Series = Sequence[tuple[float, float]]


def picture(training: Mapping[str, Any]) -> dg.MetadataValue:
    """The curve in a pack's `training.json` as an inline image; a sentence where there is nothing to draw."""
    return shown("loss", series(training))


def shown(name: str, lines: Mapping[str, Series], unit: str = "step") -> dg.MetadataValue:
    """`draw` as an inline image; a sentence where there is nothing to draw."""
    drawing = draw(lines, unit)
    if drawing is None:
        return dg.MetadataValue.text("too short to draw")
    return image(name, drawing)


def series(training: Mapping[str, Any]) -> dict[str, list[tuple[float, float]]]:
    """Step and loss, of training and of validation; values that are no number are left out of the picture."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in LINES}
    for point in training["curve"]:
        values = {"training": point.get("loss"), "validation": point.get("validation", {}).get("log_loss")}
        for name, value in values.items():
            if isinstance(value, int | float) and math.isfinite(value):
                found[name].append((float(point["step"]), float(value)))
    return found


def draw(lines: Mapping[str, Series], unit: str = "step") -> str | None:
    """An SVG of at most two lines over their steps, with the largest and smallest value and the last step; None below two points."""
    means = {name: _means(line, points) for (name, line), points in zip(lines.items(), POINTS, strict=False)}
    every = [point for line in means.values() for point in line]
    if len(every) < 2:
        return None
    last = max(step for step, _ in every) or 1.0
    low, high = min(value for _, value in every), max(value for _, value in every)
    span = (high - low) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-size="10" fill="none">',
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" stroke="#999"/><g fill="#777">',
        f'<text y="{TOP + 6}">{high:.4g}</text><text y="{BOTTOM}">{low:.4g}</text>',
        f'<text x="{RIGHT}" y="{HEIGHT - 8}" text-anchor="end">{unit} {last:.0f}</text></g>',
    ]
    for index, (name, line) in enumerate(means.items()):
        if not line:
            continue
        pixels = [
            (round(LEFT + step / last * (RIGHT - LEFT)), round(TOP + (high - value) / span * (BOTTOM - TOP)))
            for step, value in line
        ]
        colour = COLOURS[index]
        if len(pixels) == 1:  # one epoch has one validation: a dot
            parts.append(f'<circle cx="{pixels[0][0]}" cy="{pixels[0][1]}" r="2" fill="{colour}"/>')
        else:
            parts.append(f'<path d="{_path(pixels)}" stroke="{colour}"/>')
        parts.append(f'<text x="{LEFT + NAME_WIDTH * index}" y="{HEIGHT - 8}" fill="{colour}">{name}</text>')
    return "".join([*parts, "</svg>"])


def _means(line: Series, most: int) -> list[tuple[float, float]]:
    """At most `most` points: each the last step and the mean value of an equal share of the points, in order."""
    shares = min(most, len(line))
    bounds = [len(line) * n // shares for n in range(shares + 1)] if shares else []
    return [
        (line[end - 1][0], math.fsum(value for _, value in line[begin:end]) / (end - begin))
        for begin, end in pairwise(bounds)
    ]


def _path(pixels: Sequence[tuple[int, int]]) -> str:
    """Absolute first point, then lines relative to the one before, without separators that a minus sign replaces."""
    moves = [value for a, b in pairwise(pixels) for value in (b[0] - a[0], b[1] - a[1])]
    text = "".join(f"{' ' if index and value >= 0 else ''}{value}" for index, value in enumerate(moves))
    return f"M{pixels[0][0]} {pixels[0][1]}" + (f"l{text}" if text else "")
