"""The charts of the pages, each from the plain values of a report document to one SVG.

A chart whose data is missing (one class only) is not drawn; the page says why in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mtac_assets.evaluation.style import Look, look_of
from mtac_assets.evaluation.svg import (
    Markup,
    Picture,
    Scale,
    band,
    line,
    mark,
    padded,
    path,
    picture,
    rect,
    shortened,
    text,
    x_axis,
    y_axis,
)

MARKED_STEP = 8  # pixels from day to day, below which marks would hide each other


def metric_panel(title: str, better: int, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> Markup:
    """One metric of all models: a point with its interval each. `entries`: name in the report and metric document."""
    width, row, left, top = 330, 24, 116, 30
    bottom = top + row * len(entries)
    present = [metric for _, metric in entries if metric["value"] is not None]
    if not present:
        return Markup("")
    bounds = [metric[key] for metric in present for key in ("value", "low", "high")]
    scale = padded(bounds, left, width - 12)
    parts = [
        text(0, 13, title, "title"),
        text(width - 12, 13, "more is better →" if better > 0 else "← less is better", "tick", "end"),
        x_axis(scale, bottom, top, 3),
    ]
    for index, (name, metric) in enumerate(entries):
        look, y = look_of(name), top + row * (index + 0.5)
        parts.append(text(0, y + 4, look.title, "label strong" if name == "model" else "label"))
        if metric["value"] is None:
            parts.append(text(left, y + 4, "undefined", "tick"))
            continue
        parts.append(_interval(scale, y, metric, look.css))
        parts.append(mark(scale(metric["value"]), y, look.shape, look.css, _told(look.title, metric)))
    return picture(width, bottom + 20, parts, f"{title} of all models")


def source_panel(
    title: str, entries: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]], model: Look, other: Look
) -> Picture:
    """One metric by source: two models' points with their intervals each. `entries`: source and the metric of both, with values."""
    width, row, left, top = 560, 30, 150, 26
    bottom = top + row * len(entries)
    scale = padded([m[key] for _, *both in entries for m in both for key in ("value", "low", "high")], left, width - 12)
    parts = [text(width - 12, 12, title, "caption", "end"), x_axis(scale, bottom, top)]
    for index, (name, *both) in enumerate(entries):
        middle = top + row * (index + 0.5)
        parts.append(text(left - 10, middle + 4, shortened(name, left - 10), "label", "end"))
        for look, metric, y in zip((model, other), both, (middle - 5, middle + 5), strict=True):
            if metric["value"] is not None:
                parts.append(_interval(scale, y, metric, look.css))
                parts.append(mark(scale(metric["value"]), y, look.shape, look.css, _told(look.title, metric)))
    return picture(width, bottom + 20, parts, title)


def slice_interval(scale: Scale, metric: Mapping[str, Any], reference: Mapping[str, Any] | None, small: bool) -> Markup:
    """A slice's point and interval, in a table's cell, with the reference model's value as a lighter mark."""
    height, parts = 18, []
    css = "model faint" if small else "model"
    parts.append(_interval(scale, height / 2, metric, css))
    if reference is not None and _within(scale, reference):
        look = look_of("hist_gradient_boosting")
        told = _told(look.title, reference)
        shade = f"{look.css} faint" if small else look.css
        parts.append(mark(scale(reference["value"]), height / 2, look.shape, shade, told, 4.4))
    value = metric["value"]
    if _within(scale, metric):
        parts.append(mark(scale(value), height / 2, "circle", css, _told("this model", metric), 3.2))
    elif value is not None and value > scale.high:
        parts.append(text(scale.end, 13, "▸", "tick", "end"))
    elif value is not None:
        parts.append(text(scale.start, 13, "◂", "tick"))
    return picture(scale.end + 6, height, parts, "interval")


def slice_axis(scale: Scale) -> Markup:
    """The axis that stands over a column of `slice_interval`."""
    parts = [text(scale(tick), 10, f"{tick:g}", "tick", "middle") for tick in scale.ticks(3)]
    parts += [line(scale(tick), 13, scale(tick), 18, "axis") for tick in scale.ticks(3)]
    return picture(scale.end + 6, 18, parts, "axis")


def calibration_chart(curves: Sequence[tuple[str, Mapping[str, Any]]]) -> Picture:
    """Observed rate over mean score, with intervals by day, and where the first model's scores lie."""
    width, left, top, bottom, floor = 360, 42, 12, 296, 350
    points = [entry for _, curve in curves for entry in curve["bins"]]
    highest = min(1.0, max([entry[key] or 0 for entry in points for key in ("score", "rate", "high")]) * 1.06 + 0.01)
    x, y = Scale(0, highest, left, width - 10), Scale(0, highest, bottom, top)
    parts = [x_axis(x, bottom, top), y_axis(y, left, width - 10), line(x(0), y(0), x(highest), y(highest), "diagonal")]
    for name, curve in reversed(curves):
        look = look_of(name)
        bins = curve["bins"]
        parts.append(path([(x(entry["score"]), y(entry["rate"])) for entry in bins], f"{look.css} curve"))
        for entry in bins:
            if entry["low"] is not None and name == curves[0][0]:
                at = x(entry["score"])
                parts.append(line(at, y(entry["low"]), at, y(min(entry["high"], highest)), f"{look.css} whisker"))
            told = f"{look.title}: score {entry['score']:.3f}, observed {entry['rate']:.3f}, {entry['rows']:,} rows"
            parts.append(mark(x(entry["score"]), y(entry["rate"]), look.shape, look.css, told, 3.4))
    histogram = curves[0][1]["histogram"]
    tallest = max(histogram["counts"])
    for count, start, end in zip(histogram["counts"], histogram["edges"], histogram["edges"][1:], strict=False):
        if count and start < highest:
            tall = (floor - bottom - 24) * count / tallest
            parts.append(rect(x(start), floor - tall, x(min(end, highest)) - x(start) - 0.6, tall, "model histogram"))
    parts += [
        text(width - 10, floor + 14, "mean score, and how many rows have it", "caption", "end"),
        text(left + 6, top + 12, "observed rate", "caption"),
    ]
    return picture(width, floor + 20, parts, "calibration")


def ranking_chart(curves: Sequence[tuple[str, Mapping[str, Any]]], kind: str, base_rate: float) -> Picture:
    """ROC (`kind` "roc") or precision over recall ("pr") of all models that have one."""
    width, left, top, bottom = 360, 42, 12, 330
    x, y = Scale(0, 1, left, width - 10), Scale(0, 1, bottom, top)
    chance = (
        line(x(0), y(0), x(1), y(1), "diagonal")
        if kind == "roc"
        else line(x(0), y(base_rate), x(1), y(base_rate), "diagonal")
    )
    parts = [x_axis(x, bottom, top), y_axis(y, left, width - 10), chance]
    for name, curve in reversed(curves):
        parts.append(path([(x(u), y(v)) for u, v in curve[kind]], f"{look_of(name).css} curve"))
    names = ("false positive rate", "true positive rate") if kind == "roc" else ("recall", "precision")
    parts += [text(width - 10, bottom + 30, names[0], "caption", "end"), text(left + 6, top + 12, names[1], "caption")]
    return picture(width, bottom + 36, parts, names[1])


def day_chart(days: Sequence[Mapping[str, Any]], reference: str | None) -> Picture:
    """Day by day: log loss of the model and the reference above; below, the observed rate as bars and the mean score.
    Days that lie close together are lines without marks."""
    width, left, right = 1000, 48, 990
    top, middle, floor_top, floor = 24, 150, 184, 290
    step = (right - left) / len(days)
    marked = step >= MARKED_STEP
    at = [left + step * (index + 0.5) for index in range(len(days))]
    losses = [day["log_loss"] for day in days]
    others = [day["others"][reference]["log_loss"] for day in days] if reference else []
    y = padded([*losses, *others], middle, top, 0.12)
    parts = [text(left, 12, "log loss", "caption"), y_axis(y, left, right, 3)]
    if reference:
        look = look_of(reference)
        parts.append(path([(a, y(v)) for a, v in zip(at, others, strict=True)], f"{look.css} curve"))
        parts += [
            mark(a, y(v), look.shape, look.css, f"{day['day']} {look.title}: {v:.4f}", 3.2)
            for a, v, day in zip(at, others, days, strict=True)
            if marked
        ]
    parts.append(path([(a, y(v)) for a, v in zip(at, losses, strict=True)], "model curve"))
    parts += [
        mark(a, y(v), "circle", "model", f"{day['day']}: {v:.4f}, {day['rows']:,} rows", 3.8)
        for a, v, day in zip(at, losses, days, strict=True)
        if marked
    ]
    rates = Scale(0, max(max(day["rate"], day["mean_score"]) for day in days) * 1.1 or 1, floor, floor_top)
    parts += [
        text(
            left, floor_top - 12, f"observed rate (bars) and mean score ({'points' if marked else 'line'})", "caption"
        ),
        y_axis(rates, left, right, 2),
    ]
    for a, day in zip(at, days, strict=True):
        wide = min(step * 0.62, 42)
        parts.append(rect(a - wide / 2, rates(day["rate"]), wide, floor - rates(day["rate"]), "bar"))
        if marked:
            told = f"{day['day']}: mean score {day['mean_score']:.3f}, rate {day['rate']:.3f}"
            parts.append(mark(a, rates(day["mean_score"]), "circle", "model", told, 3.4))
    if not marked:
        parts.append(path([(a, rates(day["mean_score"])) for a, day in zip(at, days, strict=True)], "model curve"))
    every = -(-len(days) // 14)
    parts += [
        text(a, floor + 16, day["day"][5:] or day["day"], "tick", "middle")
        for a, day in list(zip(at, days, strict=True))[::every]
    ]
    return picture(width, floor + 24, parts, "performance by day")


def along_chart(title: str, labels: Sequence[str], series: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> Markup:
    """A metric along as-of dates: the first series with its interval as a band. A date without a value breaks the line."""
    width, left, right, top, bottom = 1000, 52, 990, 28, 230
    step = (right - left) / len(labels)
    at = [left + step * (index + 0.5) for index in range(len(labels))]
    bounds = [
        m[key]
        for index, (_, metrics) in enumerate(series)
        for m in metrics
        for key in (("value", "low", "high") if index == 0 else ("value",))
    ]
    if all(bound is None for bound in bounds):
        return Markup("")
    y = padded(bounds, bottom, top)
    parts = [text(0, 13, title, "title"), y_axis(y, left, right)]
    banded = [(a, m) for a, m in zip(at, series[0][1], strict=True) if m["low"] is not None and m["high"] is not None]
    if banded:
        parts.append(
            band(
                [(a, y(m["high"])) for a, m in banded],
                [(a, y(m["low"])) for a, m in banded],
                f"{look_of(series[0][0]).css} band",
            )
        )
    for name, metrics in reversed(series):
        look = look_of(name)
        for run in _runs(at, metrics):
            parts.append(path([(a, y(m["value"])) for a, m in run], f"{look.css} curve"))
            parts += [mark(a, y(m["value"]), look.shape, look.css, _told(look.title, m), 3.8) for a, m in run]
    every = -(-len(labels) // 14)
    parts += [text(a, bottom + 18, label, "tick", "middle") for a, label in list(zip(at, labels, strict=True))[::every]]
    return picture(width, bottom + 26, parts, title)


def _runs(at: Sequence[float], metrics: Sequence[Mapping[str, Any]]) -> list[list[tuple[float, Mapping[str, Any]]]]:
    runs: list[list[tuple[float, Mapping[str, Any]]]] = [[]]
    for a, metric in zip(at, metrics, strict=True):
        if metric["value"] is None:
            runs.append([])
        else:
            runs[-1].append((a, metric))
    return [run for run in runs if run]


def _interval(scale: Scale, y: float, metric: Mapping[str, Any], css: str) -> Markup:
    if metric["low"] is None or metric["high"] is None:
        return Markup("")
    low, high = (
        max(metric["low"], scale.low),
        min(metric["high"], scale.high),
    )  # the numbers beside it say how far it goes
    return line(scale(low), y, scale(high), y, f"{css} whisker") if low < high else Markup("")


def _within(scale: Scale, metric: Mapping[str, Any]) -> bool:
    return metric["value"] is not None and scale.low <= metric["value"] <= scale.high


def _told(title: str, metric: Mapping[str, Any]) -> str:
    if metric["low"] is None or metric["high"] is None:
        return f"{title}: {metric['value']:.4f}"
    return f"{title}: {metric['value']:.4f} [{metric['low']:.4f}, {metric['high']:.4f}]"
