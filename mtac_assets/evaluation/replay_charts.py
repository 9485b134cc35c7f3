"""The charts of a replay: live loss along the weeks, what happened when, and what each policy pays for its loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from mtac_assets.evaluation.style import Look
from mtac_assets.evaluation.svg import (
    Markup,
    Scale,
    line,
    mark,
    padded,
    path,
    picture,
    text,
    x_axis,
    y_axis,
)

Policies = Sequence[Mapping[str, Any]]
Looks = Mapping[str, Look]
WIDTH, LEFT, RIGHT = 1000, 52, 990


def legend_key(look: Look) -> Markup:
    """A policy's line and mark, as every chart of the page draws them; to stand before its name."""
    drawn = [path([(1, 6), (29, 6)], f"{look.css} curve"), mark(15, 6, look.shape, look.css)]
    return Markup('<svg class="key" viewBox="0 0 30 12" aria-hidden="true">{}</svg>').format(Markup("").join(drawn))


def loss_chart(policies: Policies, looks: Looks) -> Markup:
    """Live log loss by week, a line a policy; a week without labels breaks it. Nothing where no week has any."""
    weeks = sorted({week["first"] for policy in policies for week in policy["weeks"]})
    values = [week["log_loss"] for policy in policies for week in policy["weeks"]]
    if all(value is None for value in values):
        return Markup("")
    top, bottom = 24, 240
    step = (RIGHT - LEFT) / len(weeks)
    at = {week: LEFT + step * (index + 0.5) for index, week in enumerate(weeks)}
    y = padded(values, bottom, top)
    parts = [text(LEFT, 12, "live log loss by week (less is better)", "caption"), y_axis(y, LEFT, RIGHT)]
    # The first policy is drawn last: where lines lie on one another, the reference stays visible.
    for policy in reversed(policies):
        look = looks[policy["name"]]
        runs = [[(at[week["first"]], y(week["log_loss"])) for week in run] for run in _unbroken(policy["weeks"])]
        parts += [path(run, f"{look.css} curve") for run in runs]
        for week in policy["weeks"]:
            if week["log_loss"] is not None:
                told = f"{policy['name']}, week of {week['first']}: {week['log_loss']:.4f}, {week['rows']:,} rows"
                parts.append(mark(at[week["first"]], y(week["log_loss"]), look.shape, look.css, told, 3.0))
    parts += _dates(weeks, at, bottom + 17)
    return picture(WIDTH, bottom + 24, parts, "live log loss by week")


def timeline(policies: Policies, looks: Looks, first: date, last: date) -> Markup:
    """A row a policy: alarms above, trainings on the line, promotions filled and refusals as bars below."""
    row, top, left = 58, 8, 130
    x = Scale(first.toordinal(), last.toordinal() + 1, left, RIGHT)
    bottom = top + row * len(policies)
    parts: list[Markup] = []
    for month in _months(first, last):
        parts += [line(x(month.toordinal()), top, x(month.toordinal()), bottom, "grid")]
        parts += [text(x(month.toordinal()) + 2, bottom + 14, f"{month:%b}", "tick")]
    for index, policy in enumerate(policies):
        look, y = looks[policy["name"]], top + row * (index + 0.5)
        parts += [text(0, y + 4, policy["name"], "label strong"), line(left, y, RIGHT, y, "axis")]

        def place(at: str) -> float:
            return x(date.fromisoformat(at[:10]).toordinal() + 0.5)

        for alarm in policy["alarms"]:
            told = f"{alarm['at'][:10]}: {alarm['says']}"
            parts.append(mark(place(alarm["at"]), y - 15, "triangle", "alarm", told, 4.4))
        for training in policy["trainings"]:
            told = f"{training['at'][:10]}: {training['model_id']} as of {training['as_of']}, asked by {training['trigger']}"
            parts.append(mark(place(training["at"]), y, "circle", look.css, told, 3.6))
        for decision in policy["decisions"]:
            told = f"{decision['at'][:10]}: {decision['model_id']}, {decision['kind']}; {'; '.join(decision['refused_by'])}"
            promoted = decision["kind"] != "refuse"
            shape, css = ("diamond", "promoted") if promoted else ("bar", "refused")
            parts.append(mark(place(decision["at"]), y + 14, shape, css, told.rstrip("; "), 4.6 if promoted else 3.4))
    return picture(WIDTH, bottom + 20, parts, "trainings, promotions, refusals and alarms of each policy")


def tradeoff(policies: Policies, looks: Looks, metric: str, about: str, cost: str, title: str) -> Markup:
    """A live metric with its interval over a cost. A policy whose cost or metric is not known is left out; the table says so.

    The legend names the marks: cheap policies lie too close to one another to be labelled.
    """
    known = [policy for policy in policies if policy[cost] is not None and _is_known(policy["live"][metric])]
    if not known:
        return Markup("")
    width, left, top, bottom = 420, 52, 26, 250
    values = [policy["live"][metric] for policy in known]
    y = padded([value[key] for value in values for key in ("value", "low", "high")], bottom, top)
    x = Scale(0, max(policy[cost] for policy in known) * 1.12 or 1, left, width - 10)
    parts = [
        text(left, 13, about, "caption"),
        x_axis(x, bottom, top),
        y_axis(y, left, width - 10),
    ]
    for policy, value in reversed(list(zip(known, values, strict=True))):  # the first on top, as along the days
        look, place = looks[policy["name"]], x(policy[cost])
        if value["low"] is not None:
            parts.append(line(place, y(value["low"]), place, y(value["high"]), f"{look.css} whisker"))
        told = f"{policy['name']}: {value['value']:.4f} at {policy[cost]:,g}"
        parts.append(mark(place, y(value["value"]), look.shape, look.css, told, 5))
    parts.append(text(width - 10, bottom + 30, title, "caption", "end"))
    return picture(width, bottom + 36, parts, f"{about} over {title}")


def _is_known(metric: Mapping[str, Any] | None) -> bool:
    """None where no row was served; its value is None where it is not defined, as ROC AUC is where all labels are the same."""
    return metric is not None and metric["value"] is not None


def _unbroken(weeks: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    runs: list[list[Mapping[str, Any]]] = [[]]
    for week in weeks:
        if week["log_loss"] is None:
            runs.append([])
        else:
            runs[-1].append(week)
    return [run for run in runs if run]


def _dates(weeks: Sequence[str], at: Mapping[str, float], y: float) -> list[Markup]:
    every = -(-len(weeks) // 12)
    return [text(at[week], y, week[5:], "tick", "middle") for week in weeks[::every]]


def _months(first: date, last: date) -> list[date]:
    found = [first.replace(day=1)] if first.day == 1 else []
    month = first.replace(day=1)
    while True:
        month = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
        if month > last:
            return found
        found.append(month)
