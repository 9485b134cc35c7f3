"""`mtac backtest`: repeat training and test along the year, and tabulate all of it."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import Overrides, Recipe, parse_date, resolve
from mtac_assets.cli.output import Json
from mtac_assets.cli.run import run_model
from mtac_assets.spec.errors import Finding, MtacError

COMPARED = ("roc_auc", "log_loss")


class Every(StrEnum):
    day = "day"
    week = "week"
    month = "month"


@app.command()
def backtest(
    recipe: Recipe,
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="The first as-of date.")],
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="No as-of date after this one.")],
    every: Annotated[Every, typer.Option(help="How far apart the as-of dates lie.")] = Every.month,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Train and test one model for each as-of date between two days, and compare them with the baselines."""
    dates = as_of_dates(parse_date(first, "--from"), parse_date(last, "--to"), every)
    # All dates are resolved before the first is run: the last one's lack of data must not cost the others' time.
    resolved = [resolve(recipe, moment.isoformat(), overrides) for moment in dates]
    rows: list[dict[str, Any]] = []
    for index, (project, one) in enumerate(resolved):
        output.note(f"[{index + 1}/{len(resolved)}] as of {one.as_of}")
        document = run_model(project, one)
        rows.append(
            {key: document[key] for key in ("as_of", "model_id", "status", "metrics", "baselines", "test_rows")}
        )

    from mtac_assets.evaluation.backtest import write_backtest

    project, one = resolved[0]
    name = f"{one.recipe.name}-{dates[0]}-{dates[-1]}-{every.value}"
    page = write_backtest(rows, project.state.reports / "backtests" / f"{name}.html", title=one.recipe.name)
    if json:
        output.emit({"schema_version": 1, "recipe": one.recipe.name, "rows": rows, "report": output.shown_path(page)})
    else:
        print_rows(rows)
        output.console().print(f"report   {output.shown_path(page)}", soft_wrap=True)


def as_of_dates(first: date, last: date, every: Every) -> list[date]:
    """The as-of dates from `first` to `last`; a month steps to the same day of the next month, and needs day 1 to 28."""
    if last < first:
        raise MtacError(Finding(f"--to {last} lies before --from {first}", "--to", f"{first} or later", "swap the two"))
    if every is Every.month and first.day > 28:
        raise MtacError(
            Finding(
                f"not every month has a day {first.day}",
                "--from",
                "a day from 1 to 28",
                "start on the first of a month",
            )
        )
    dates = [first]
    while True:
        before = dates[-1]
        if every is Every.month:
            step = before.replace(year=before.year + before.month // 12, month=before.month % 12 + 1)
        else:
            step = before + timedelta(days=1 if every is Every.day else 7)
        if step > last:
            return dates
        dates.append(step)


def print_rows(rows: list[dict[str, Any]]) -> None:
    """One line a date, and the means, against the baselines."""
    baselines = [name for name in rows[0]["baselines"] if name != "base_rate"]
    for metric in COMPARED:
        columns = ["as of", "model", *(name.replace("_", " ") for name in baselines)]
        table = [
            [row["as_of"], output.metric_text(row["metrics"][metric])]
            + [output.metric_text(row["baselines"][name][metric]) for name in baselines]
            for row in rows
        ]
        means = [_mean([row["metrics"][metric]["value"] for row in rows])]
        means += [_mean([row["baselines"][name][metric]["value"] for row in rows]) for name in baselines]
        table.append(["mean", *(f"{mean:.4f}" for mean in means)])
        output.print_table(metric.replace("_", " "), columns, table, right=columns[1:])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
