"""Pictures as an SVG file of its own, for places that show pictures only (Dagster's metadata, MLflow's artifacts, a viewer).

What a page gives its charts comes with the file: the style, with colours for the white paper that it brings along under any
theme, a title, and a legend. What a pointer would show over a mark is left out: nothing points at an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mtac_assets.evaluation.style import BASELINE_LOOKS, CHAMPION, LIGHT, MODEL, Look
from mtac_assets.evaluation.svg import LETTER, Markup, Picture, line, mark, number, rect, text

CHARTS = Path(__file__).parent / "templates" / "charts.css"
MARGIN, GAP, ROW = 14.0, 26.0, 18.0
_TOLD = re.compile("<title>[^<]*</title>")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Key:
    """An entry of a legend: its words, beside a line of class `css`, a mark of `shape`, or both."""

    words: str
    css: str
    shape: str = ""
    lined: bool = True
    size: float = 4.0

    @classmethod
    def of(cls, look: Look, marked: bool = False) -> Key:
        return cls(look.title, look.css, look.shape if marked else "")


def svg_file(
    title: str, pictures: Sequence[Picture], legend: Sequence[Key] = (), style: str = "", zoom: float = 1.0
) -> str:
    """`pictures` side by side under a title and a legend. `style`: rules for classes of their own; `zoom`: shown pixels a unit."""
    width = 2 * MARGIN + sum(one.width for one in pictures) + GAP * (len(pictures) - 1)
    keys, top = _legend(legend, MARGIN + 24, width)
    height = top + max(one.height for one in pictures) + MARGIN
    places = [MARGIN + sum(one.width + GAP for one in pictures[:index]) for index in range(len(pictures))]
    parts = [
        Markup("<style>{}</style>").format(Markup(charts_style() + style)),
        rect(0, 0, width, height, "paper"),
        text(MARGIN, MARGIN + 12, title, "heading"),
        *keys,
        *(_placed(one, x, top) for one, x in zip(pictures, places, strict=True)),
    ]
    drawn = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>\n'
    ).format(*map(number, (width * zoom, height * zoom, width, height)), title, Markup("").join(parts))
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", _TOLD.sub("", drawn))


def colours(looks: Iterable[Look]) -> str:
    """The rules for the classes of `looks`."""
    return "".join(f".{look.css}{{fill:{look.colour};stroke:{look.colour}}}" for look in looks)


@cache
def charts_style() -> str:
    """The charts' stylesheet with the colours of white paper in place of a page's variables."""
    light = LIGHT | {look.css: look.colour for look in (MODEL, CHAMPION, *BASELINE_LOOKS.values())}
    rules = re.sub(r"var\(--(\w+)\)", lambda found: light[found[1]], CHARTS.read_text(encoding="utf-8"))
    return "svg{overflow:visible}.heading{font-size:15px;font-weight:650}" + f".paper{{fill:{LIGHT['paper']}}}" + rules.replace("\n", "")  # fmt: skip


def _placed(one: Picture, x: float, y: float) -> Markup:
    return Markup('<g transform="translate({} {})">{}</g>').format(number(x), number(y), one)


def _legend(keys: Sequence[Key], top: float, width: float) -> tuple[list[Markup], float]:
    """The entries in rows as wide as the picture, and where they end."""
    parts: list[Markup] = []
    x, y = MARGIN, top + 10
    for key in keys:
        drawn = 24 if key.lined else 12
        wide = drawn + 6 + LETTER * len(key.words)
        if x > MARGIN and x + wide > width:
            x, y = MARGIN, y + ROW
        if key.lined:
            parts.append(line(x, y, x + drawn, y, f"{key.css} curve"))
        if key.shape:
            parts.append(mark(x + drawn / 2, y, key.shape, key.css, size=key.size))
        parts.append(text(x + drawn + 6, y + 4, key.words, "label"))
        x += wide + 14
    return parts, (y + ROW if keys else top)
