"""`mtac demo`: the whole story on a year of real flights. Train, commit, rebuild, promote, challenge, compare.

It ends with 1 where what it is there to show did not hold: a model that was not rebuilt, or a first one that the gates refused.
"""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json
from mtac_assets.spec.errors import CheckFailed

if TYPE_CHECKING:
    from mtac_assets.promotion.transition import Decision
    from mtac_assets.spec.project import Project

RECIPE = "flight_delays"
FIRST = date(2013, 7, 1)
SECOND = date(2013, 7, 15)
PERSON = "demo"


@app.command()
def demo(json: Json = False) -> int:
    """Show it all on real data: a year of flights in; a model trained, committed, rebuilt bit for bit, and promoted."""
    from mtac_assets.cli.run import print_model, run_model
    from mtac_assets.spec.load import load_dataset, load_recipe
    from mtac_assets.spec.project import find_project
    from mtac_assets.spec.shapes import datasets_of

    began = time.monotonic()
    project = find_project()
    first, second = (load_recipe(project, RECIPE, (), moment) for moment in (FIRST, SECOND))

    _step(1, "Ingest a year of flights and weather, day by day")
    _ingest_year(project, [load_dataset(project, name) for name in datasets_of(first.recipe)])
    _step(2, f"Train, evaluate and commit a model as of {FIRST}")
    champion = run_model(project, first)
    if not json:
        print_model(champion)
    _step(3, "Rebuild it from its commit alone, bit for bit")
    rebuilt = _reproduce(project, champion["model_id"], json)
    _step(4, "Ask the gates whether it may go live")
    decision = _promote(project, champion["model_id"], "the first champion", json)
    _step(5, f"Two weeks later: a challenger as of {SECOND}")
    challenger = run_model(project, second)
    if not json:
        print_model(challenger)
    _step(6, "What changed between the two?")
    difference = _diff(project, champion["model_id"], challenger["model_id"], json)
    _step(7, "Rebuild the challenger, and let it challenge")
    rebuilt_too = _reproduce(project, challenger["model_id"], json)
    challenge = _promote(project, challenger["model_id"], "fresher data", json)
    seconds = time.monotonic() - began
    if json:
        output.emit(
            {
                "schema_version": 1,
                "champion": champion,
                "reproduction": rebuilt,
                "promotion": decision.document(),
                "challenger": challenger,
                "difference": difference,
                "challenger_reproduction": rebuilt_too,
                "challenge": challenge.document(),
                "seconds": round(seconds, 1),
            }
        )
    else:
        _close(project, champion if not challenge.promoted else challenger, seconds)
    identical = all(one["verdict"] == "identical" for one in (rebuilt, rebuilt_too))
    first_refused = decision.previous is None and not decision.promoted
    return 0 if identical and not first_refused else CheckFailed.exit_code


def _step(number: int, text: str) -> None:
    from rich.rule import Rule

    out = output.progress_console()
    out.print()
    out.print(Rule(f"[bold]{number}. {text}[/]", align="left", style="cyan"))


def _ingest_year(project: Project, datasets: list[Any]) -> None:
    """Every day that the datasets declare and that is not there yet."""
    from mtac_assets.data.partitions import present
    from mtac_assets.orchestration.line import ingest_days

    for dataset in datasets:
        first, last = dataset.partitions.start, dataset.partitions.end
        days = [(first + timedelta(days=index)).isoformat() for index in range((last - first).days + 1)]
        there = present(project.state.data, dataset.name)
        missing = [day for day in days if day not in there]
        if missing:
            ingest_days(project, dataset.name, missing, echo=output.note)
        else:
            output.note(f"{dataset.name}: all {len(days)} days are there")


def _reproduce(project: Project, model_id: str, json: bool) -> dict[str, Any]:
    from mtac_assets.cli.reproduce import print_reproduction
    from mtac_assets.promotion.reproduce import Request, reproduce

    done = reproduce(project, model_id, Request(), actor=PERSON, reason="the demo", echo=output.note)
    if not json:
        print_reproduction(done)
    return done.document()


def _promote(project: Project, model_id: str, reason: str, json: bool) -> Decision:
    from mtac_assets.cli.promote import print_decision
    from mtac_assets.promotion.decide import promote

    decision = promote(project, model_id, by=PERSON, reason=reason, echo=output.note)
    if not json:
        print_decision(decision)
    return decision


def _diff(project: Project, old: str, new: str, json: bool) -> dict[str, Any]:
    from mtac_assets.cli.diff import print_difference
    from mtac_assets.provenance.diff import diff_models

    difference = diff_models(project, old, new)
    if not json:
        print_difference(difference)
    return difference.document()


def _close(project: Project, champion: dict[str, Any], seconds: float) -> None:
    from rich import box
    from rich.panel import Panel
    from rich.table import Table

    from mtac_assets.cli.history import print_history

    print_history(project, RECIPE)
    metric = champion["metrics"]["roc_auc"]
    baseline = champion["baselines"]["hist_gradient_boosting"]["roc_auc"]
    table = Table.grid(padding=(0, 2))
    for label, value in (
        ("champion", f"[bold]{champion['model_id']}[/]"),
        ("ROC AUC", f"{output.metric_text(metric)}  [dim]gradient boosting: {output.metric_text(baseline)}[/]"),
        ("report", champion["report"]),
        ("look at it all", "[bold]make up[/]   Dagster and MLflow, on this machine"),
        ("ask again", f".venv/bin/mtac show {champion['model_id']}"),
    ):
        table.add_row(f"[dim]{label}[/]", value)
    output.console().print(
        Panel(table, title=f"done in {seconds:.0f} s", title_align="left", box=box.ROUNDED, expand=False)
    )
