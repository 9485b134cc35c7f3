"""`mtac promote` and `mtac rollback`: a person asks, the gates decide, the ledger keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import By, ModelId, Reason, person
from mtac_assets.cli.output import Json
from mtac_assets.spec.errors import EXIT_CHECK_FAILED

if TYPE_CHECKING:
    from mtac_assets.promotion.transition import Decision


@app.command()
def promote(model_id: ModelId, reason: Reason, by: By = None, json: Json = False) -> int:
    """Make a model the champion if every gate passes. Promoted, refused or in its shadow period: the ledger keeps each verdict."""
    from mtac_assets.promotion.decide import promote
    from mtac_assets.spec.project import find_project

    decision = promote(find_project(), model_id, by=person(by), reason=reason, echo=output.note)
    _show(decision, json)
    return 0 if decision.promoted or decision.in_shadow else EXIT_CHECK_FAILED


@app.command()
def rollback(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="The recipe whose champion is taken back.")],
    reason: Reason,
    by: By = None,
    json: Json = False,
) -> int:
    """Make the champion before the present one champion again. It was judged when it was promoted; its pack is verified."""
    from mtac_assets.promotion.decide import rollback
    from mtac_assets.spec.project import find_project

    decision = rollback(find_project(), recipe, by=person(by), reason=reason)
    _show(decision, json)
    return 0 if decision.promoted else EXIT_CHECK_FAILED


def _show(decision: Decision, json: bool) -> None:
    if json:
        output.emit(decision.document())
    else:
        print_decision(decision)


def print_decision(decision: Decision) -> None:
    """The outcome, then each gate with its reason."""
    from rich.markup import escape

    out = output.console()
    word = "[bold green]champion[/]" if decision.promoted else "[bold red]refused[/]"
    if decision.in_shadow:
        begun = decision.entry.evidence["shadow"]
        days = f"the first {begun['settings']['days']} days with labels from {begun['live_from']} on decide"
        word = f"[bold yellow]in shadow[/]: {days}"
    before = f"  [dim]before it: {decision.previous}[/]" if decision.previous else ""
    out.print(f"{decision.model_id}  {word}{before}")
    width = max((len(verdict.gate) for verdict in decision.verdicts), default=0)
    for verdict in decision.verdicts:
        mark = "[green]pass[/]" if verdict.passed else "[bold red]FAIL[/]"
        out.print(f"  {mark}  {escape(verdict.gate.ljust(width))}  {escape(verdict.reason)}", soft_wrap=True)
    for warning in decision.warnings:
        out.print(f"  [yellow]{escape(warning)}[/]", soft_wrap=True)
    out.print(f"  [dim]ledger entry {decision.entry.sequence}, by {escape(decision.entry.actor)}[/]")
