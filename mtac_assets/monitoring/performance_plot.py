"""The picture of a model's live performance: log loss by window with its interval, against the line of its own test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from mtac_assets.evaluation.svg import Markup, Scale, line, mark, padded, picture, rect, segments, text, y_axis
from mtac_assets.evaluation.svg_file import Key, svg_file
from mtac_assets.monitoring.state_looks import STATE_LOOKS, STYLE, state_keys
from mtac_assets.provenance.files import write_atomic

WIDTH, LEFT, RIGHT = 1000, 52, 990
TOP, MIDDLE, FLOOR_TOP, FLOOR = 10, 210, 250, 310
DATES = 10  # at most, under the picture
RULES = (
    ".span{stroke-width:2}.validated{stroke-width:1.2;stroke-dasharray:2 3}.within{fill:#3b4652;opacity:.12}"
    ".day{opacity:.5}path.day{stroke-width:4;stroke-linecap:round}.share{stroke:#00805c;stroke-width:3}"
)


def draw(document: Mapping[str, Any], path: Path) -> Path:
    """Write `performance_picture` to a file."""
    write_atomic(path, performance_picture(document).encode())
    return path


def performance_picture(document: Mapping[str, Any]) -> str:
    """SVG for `Performance.document()`. The reference's band is its interval; small dots are days."""
    windows = document["windows"]
    measured = [window for window in windows if window["metrics"] is not None]
    days = [date.fromisoformat(window[end]) for window in windows for end in ("first", "last")]
    first, last = (min(days), max(days)) if days else (date(2000, 1, 1), date(2000, 1, 1))
    x = Scale(first.toordinal(), last.toordinal() + 1, LEFT, RIGHT)
    parts = [*_losses(x, document, measured), *_shares(x, document), *(_dates(x, first, last) if days else ())]
    title = f"{document['model_id']}: log loss on live labels ({document['state']}), less is better"
    validated = document["reference"].get("validation") is not None  # documents of earlier versions do not have it
    legend = [
        Key("its own test rows, with their interval", "normal"),
        *([Key("its validation rows", "normal validated")] if validated else []),
        *state_keys(window["state"] for window in measured),
        *(
            [Key("a day", "unknown day", "circle", lined=False, size=2.6)]
            if any(window["by_day"] for window in measured)
            else []
        ),
    ]
    drawn = picture(WIDTH, FLOOR + 22, parts, "log loss by window, and the share of positives")
    return svg_file(title, [drawn], legend, STYLE + RULES)


def _losses(x: Scale, document: Mapping[str, Any], measured: Sequence[Mapping[str, Any]]) -> list[Markup]:
    reference, validation = document["reference"]["metrics"]["log_loss"], document["reference"].get("validation")
    every = [reference, *(window["metrics"]["log_loss"] for window in measured)]
    bounds = [loss[key] for loss in every for key in ("value", "low", "high")]
    y = padded(
        [*bounds, validation, *(one["log_loss"] for window in measured for one in window["by_day"])], MIDDLE, TOP
    )
    parts = [y_axis(y, LEFT, RIGHT)]
    if reference["low"] is not None:
        parts.append(
            rect(LEFT, y(reference["high"]), RIGHT - LEFT, y(reference["low"]) - y(reference["high"]), "within")
        )
    parts.append(line(LEFT, y(reference["value"]), RIGHT, y(reference["value"]), "normal"))
    if validation is not None:
        parts.append(line(LEFT, y(validation), RIGHT, y(validation), "normal validated"))
    for state, look in STATE_LOOKS.items():
        held = [window for window in measured if window["state"] == state]
        days = [(x(_at(one["day"], 0.5)), one["log_loss"]) for window in held for one in window["by_day"]]
        losses = [(*_ends(x, window), window["metrics"]["log_loss"]) for window in held]
        known = [(begin, end, loss) for begin, end, loss in losses if loss["value"] is not None]
        sure = [((begin + end) / 2, loss) for begin, end, loss in known if loss["low"] is not None]
        parts += [
            segments([(at, y(loss), at, y(loss)) for at, loss in days if loss is not None], f"{look.css} day"),
            segments(
                [(begin, y(loss["value"]), end, y(loss["value"])) for begin, end, loss in known], f"{look.css} span"
            ),
            segments([(at, y(loss["low"]), at, y(loss["high"])) for at, loss in sure], f"{look.css} whisker"),
            *(mark((begin + end) / 2, y(loss["value"]), look.shape, look.css, size=5) for begin, end, loss in known),
        ]
    if not measured:
        parts.append(text((LEFT + RIGHT) / 2, MIDDLE - 20, "no window has labels yet", "caption", "middle"))
    return parts


def _shares(x: Scale, document: Mapping[str, Any]) -> list[Markup]:
    own = document["reference"]["base_rate"]
    known = [window for window in document["windows"] if window["base_rate"] is not None]
    highest = max([own, *(window["base_rate"] for window in known)]) * 1.15 or 1
    y = Scale(0, highest, FLOOR, FLOOR_TOP)
    return [
        text(LEFT, FLOOR_TOP - 8, "share of positives (line: of its test rows)", "caption"),
        y_axis(y, LEFT, RIGHT, 2),
        line(LEFT, y(own), RIGHT, y(own), "normal"),
        segments(
            [(begin, y(w["base_rate"]), end, y(w["base_rate"])) for w in known for begin, end in [_ends(x, w)]], "share"
        ),
    ]


def _dates(x: Scale, first: date, last: date) -> list[Markup]:
    """Days, weeks or months, as many as fit; the first one and the first of a year are told with their year."""
    parts, year = [], None
    for day in date_ticks(first, last):
        at = x(day.toordinal())
        parts += [line(at, FLOOR, at, FLOOR + 4, "axis")]
        parts.append(text(at, FLOOR + 17, f"{day:%m-%d}" if day.year == year else f"{day}", "tick", "middle"))
        year = day.year
    return parts


def date_ticks(first: date, last: date) -> list[date]:
    """At most `DATES` days from `first` to `last`: every day, second day, week or fortnight, or firsts of months."""
    span = (last - first).days
    for step in (1, 2, 7, 14):
        if span // step < DATES:
            return [first + timedelta(days=days) for days in range(0, span + 1, step)]
    for step in (1, 2, 3, 6, 12, 24, 60, 120):
        months = [
            n
            for n in range(first.year * 12 + first.month - (first.day == 1), last.year * 12 + last.month)
            if n % step == 0
        ]
        if len(months) <= DATES:
            break
    return [date(n // 12, n % 12 + 1, 1) for n in months]


def _ends(x: Scale, window: Mapping[str, Any]) -> tuple[float, float]:
    return x(_at(window["first"])), x(_at(window["last"], 1))


def _at(key: str, days_later: float = 0.0) -> float:
    return date.fromisoformat(key).toordinal() + days_later
