"""A few SVG primitives for the pages: scales, frames, lines, marks. Colours are CSS classes, so that a page may be light or dark.

No chart is decided here (charts.py does that), and nothing is drawn that depends on fonts installed where it was made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

LETTER = 6.2  # pixels of a label's letter, rather too many than too few
CROSS = [
    (0, -0.7), (0.7, -1.4), (1.4, -0.7), (0.7, 0), (1.4, 0.7), (0.7, 1.4),
    (0, 0.7), (-0.7, 1.4), (-1.4, 0.7), (-0.7, 0), (-1.4, -0.7), (-0.7, -1.4),
]  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """Data from `low` to `high` onto pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, wanted: int = 4) -> list[float]:
        """Round numbers within the scale, about `wanted` of them."""
        rough = (self.high - self.low) / wanted
        magnitude = 10.0 ** math.floor(math.log10(rough))
        fitting = [m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * 0.999]
        for step in (fitting[0], fitting[0] / 2):  # a step may jump over all but one number: half of it does not
            ticks = self._multiples(step)
            if len(ticks) > 1:
                break
        return ticks

    def _multiples(self, step: float) -> list[float]:
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(n * step, 12) + 0.0 for n in range(first, last + 1)]


def padded(values: Iterable[float | None], start: float, end: float, margin: float = 0.06) -> Scale:
    """A scale that holds all `values` (None is left out) with a margin; a single value gets some room around it."""
    present = [value for value in values if value is not None]
    low, high = min(present), max(present)
    room = (high - low) * margin or abs(high) * 0.05 or 0.05
    return Scale(low - room, high + room, start, end)


def number(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


def tick_label(value: float) -> str:
    return f"{value:.10f}".rstrip("0").rstrip(".") if value else "0"


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(*map(number, (x1, y1, x2, y2)), css)


def path(points: Sequence[tuple[float, float]], css: str) -> Markup:
    data = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
    return Markup('<path d="{}" class="{}"/>').format(data, css)


def band(upper: Sequence[tuple[float, float]], lower: Sequence[tuple[float, float]], css: str) -> Markup:
    points = [*upper, *reversed(lower)]
    data = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points) + "Z"
    return Markup('<path d="{}" class="{}"/>').format(data, css)


def segments(ends: Iterable[tuple[float, float, float, float]], css: str) -> Markup:
    """Lines apart from each other in one element. One without length is a dot where the class has round caps."""
    data = "".join(f"M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}" for x1, y1, x2, y2 in ends)
    return Markup('<path d="{}" class="{}"/>').format(data, css) if data else Markup("")


def rect(x: float, y: float, width: float, height: float, css: str) -> Markup:
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"/>').format(
        *map(number, (x, y, max(width, 0), max(height, 0))), css
    )


def text(x: float, y: float, words: str, css: str = "", anchor: str = "start") -> Markup:
    return Markup('<text x="{}" y="{}" class="{}" text-anchor="{}">{}</text>').format(
        number(x), number(y), css, anchor, words
    )


def shortened(words: str, width: float) -> str:
    """`words`, cut where they would be wider than `width` as a label."""
    most = int(width / LETTER)
    return words if len(words) <= most else f"{words[: most - 1]}…"


def cells(corners: Sequence[tuple[float, float, float]], height: float, css: str) -> Markup:
    """Boxes of one height in one element. `corners`: left, top and width of each."""
    data = "".join(f"M{number(x)} {number(y)}h{number(w)}v{number(height)}h-{number(w)}z" for x, y, w in corners)
    return Markup('<path d="{}" class="{}"/>').format(data, css)


def mark(x: float, y: float, shape: str, css: str, title: str = "", size: float = 4.2) -> Markup:
    """A point; models differ in shape as well as in colour. The title is what a pointer over it shows."""
    about = Markup("<title>{}</title>").format(title) if title else Markup("")
    if shape == "circle":
        return Markup('<circle cx="{}" cy="{}" r="{}" class="{}">{}</circle>').format(
            number(x), number(y), number(size), css, about
        )
    corners = {
        "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        "diamond": [(0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)],
        "triangle": [(0, -1.3), (1.25, 1), (-1.25, 1)],
        "cross": CROSS,
        "bar": [(-0.35, -1.3), (0.35, -1.3), (0.35, 1.3), (-0.35, 1.3)],
    }[shape]
    points = " ".join(f"{number(x + dx * size * 0.9)},{number(y + dy * size * 0.9)}" for dx, dy in corners)
    return Markup('<polygon points="{}" class="{}">{}</polygon>').format(points, css, about)


class Picture(Markup):
    """A finished picture. `width` and `height` in pixels are for whoever lays it out; a page fits it to its columns."""

    width: float
    height: float


def picture(width: float, height: float, parts: Iterable[Markup], label: str) -> Picture:
    """The finished picture; `label` is what a screen reader says."""
    drawn = Picture(
        Markup(
            '<svg width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img" aria-label="{2}" preserveAspectRatio="xMidYMid meet">{3}</svg>'
        ).format(number(width), number(height), label, Markup("").join(parts))
    )
    drawn.width, drawn.height = width, height
    return drawn


def x_axis(scale: Scale, y: float, top: float, wanted: int = 4) -> Markup:
    """Tick labels under `y` and grid lines up to `top`."""
    parts = []
    for tick in scale.ticks(wanted):
        x = scale(tick)
        parts += [line(x, y, x, top, "grid"), text(x, y + 14, tick_label(tick), "tick", "middle")]
    return Markup("").join(parts)


def y_axis(scale: Scale, x: float, right: float, wanted: int = 4) -> Markup:
    parts = []
    for tick in scale.ticks(wanted):
        y = scale(tick)
        parts += [line(x, y, right, y, "grid"), text(x - 6, y + 3.5, tick_label(tick), "tick", "end")]
    return Markup("").join(parts)
