"""`mtac plan`: what would run, and why, to the exact leaf."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import AsOf, Overrides, Recipe, resolve
from mtac_assets.cli.output import Json

if TYPE_CHECKING:
    from mtac_assets.provenance.plan import Plan

SHOWN_CHANGES = 12


@app.command()
def plan(recipe: Recipe, as_of: AsOf = None, overrides: Overrides = None, json: Json = False) -> None:
    """Say what `mtac run` would do, and which input changed. Runs nothing."""
    from mtac_assets.provenance import plan as planning

    project, resolved = resolve(recipe, as_of, overrides)
    wanted = planning.plan(project, resolved)
    if json:
        output.emit(wanted.document())
    else:
        print_plan(wanted)


def print_plan(wanted: Plan) -> None:
    """The plan as a page: one paragraph a step, with the leaves that changed."""
    from rich.markup import escape

    out = output.console()
    if wanted.up_to_date:
        out.print(f"[bold green]up to date[/]  {wanted.model_id}  nothing would run")
        return
    out.print(f"[bold]{len(wanted.steps)} steps would run[/]  model {wanted.model_id or '(known once the data is in)'}")
    for step in wanted.steps:
        count = f"  [dim]{len(step.partitions)} partitions[/]" if len(step.partitions) > 1 else ""
        out.print(f"  [cyan]{escape(step.asset)}[/]{count}\n    {escape(step.reason)}")
        for change in step.changes[:SHOWN_CHANGES]:
            old = "(new)" if change.old is None else change.old
            new = "(gone)" if change.new is None else change.new
            out.print(f"      [yellow]{escape(change.leaf)}[/]  {escape(_short(old))} → {escape(_short(new))}")
        if len(step.changes) > SHOWN_CHANGES:
            out.print(f"      [dim]and {len(step.changes) - SHOWN_CHANGES} more (--json lists all)[/]")


def _short(text: str) -> str:
    """A digest is known by its first twelve digits; other values stay whole."""
    return text[:12] if len(text) == 64 and all(letter in "0123456789abcdef" for letter in text) else text
