"""`mtac diff A B`: all that changed between two models, on the terminal or as a page."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json

if TYPE_CHECKING:
    from mtac_assets.provenance.diff import ModelDifference
    from mtac_assets.spec.mix_diff import MixChange

SHOWN_LINES = 60


@app.command()
def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="A Model ID, or a unique beginning of one.")],
    new: Annotated[str, typer.Argument(metavar="B", help="The model to compare it with.")],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with both reports side by side.")
    ] = None,
    json: Json = False,
) -> None:
    """Compare two models: recipe, data, code, environment and metrics."""
    from mtac_assets.provenance import refs
    from mtac_assets.provenance.diff import diff_models
    from mtac_assets.spec.project import find_project

    project = find_project()
    found = diff_models(project, refs.resolve_id(project, old), refs.resolve_id(project, new))
    if html is not None:
        from mtac_assets.evaluation.compared import compare_report
        from mtac_assets.provenance.files import write_atomic

        a, b = (
            jsonlib.loads(refs.read_model_file(project, each, "report/report.json")) for each in (found.old, found.new)
        )
        write_atomic(html, compare_report(a, b, difference=found.document()).encode())
    if json:
        output.emit(found.document() | {"page": str(html) if html else None})
    else:
        print_difference(found)
        if html is not None:
            output.console().print(f"page  {output.shown_path(html)}", soft_wrap=True)


def print_difference(found: ModelDifference) -> None:
    """What changed, cause before effect; a part without a change is one word."""
    from rich.markup import escape

    out = output.console()
    equal = "  [dim]equal weights[/]" if found.same_weights else ""
    out.print(f"\n[bold]{found.old}[/] → [bold]{found.new}[/]{equal}")
    settings = [change for change in found.recipe if not change.leaf.startswith("recipe.mix.")]
    for title, changes in (("recipe", settings), ("environment", found.environment)):
        out.print(f"[bold cyan]{title}[/]" + ("" if changes or (title == "recipe" and found.mix) else "  [dim]same[/]"))
        for change in changes:
            name = change.leaf.partition(".")[2]
            out.print(
                f"  {escape(name)}  [red]{escape(change.old or '–')}[/] → [green]{escape(change.new or '–')}[/]",
                soft_wrap=True,
            )
        if title == "recipe":
            _print_mix(found.mix)
    out.print("[bold cyan]data[/]" + ("" if found.data else "  [dim]same[/]"))
    for data in found.data:
        parts = [
            f"{word} {len(keys)} ({keys[0]}{f' to {keys[-1]}' if len(keys) > 1 else ''})"
            for word, keys in (("added", data.added), ("removed", data.removed), ("changed", data.changed))
            if keys
        ]
        out.print(f"  {data.dataset}  {', '.join(parts)}; {data.rows_old:,} → {data.rows_new:,} rows", soft_wrap=True)
    out.print("[bold cyan]code[/]" + ("" if found.code else "  [dim]same[/]"))
    for code in found.code:
        parts = [
            f"{word} {', '.join(names)}"
            for word, names in (("changed", code.changed), ("added", code.added), ("removed", code.removed))
            if names
        ]
        out.print(f"  {escape(code.file)}  {escape('; '.join(parts))}", soft_wrap=True)
        lines = code.text.splitlines()
        for line in lines[:SHOWN_LINES]:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "dim")
            out.print(f"    [{style}]{escape(line)}[/]", soft_wrap=True)
        if len(lines) > SHOWN_LINES:
            out.print(f"    [dim]and {len(lines) - SHOWN_LINES} more lines (--json has all)[/]")
    rows = [
        [name.replace("_", " "), output.metric_text(values.get("old")), output.metric_text(values.get("new"))]
        for name, values in found.metrics.items()
    ]
    if rows:
        output.print_table(
            "metrics, each on its own test rows", ["", found.old, found.new], rows, right=[found.old, found.new]
        )


def _print_mix(changes: tuple[MixChange, ...]) -> None:
    """Source by source: one that is new or gone in one line, of others what changed."""
    from rich.markup import escape

    out = output.console()
    signs = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}
    for change in changes:
        sign, colour = signs[change.kind]
        title = f"  mix  [{colour}]{sign} {escape(change.source)}[/]"
        if change.kind != "changed":
            words = "; ".join(f"{name} {old or new}" for name, old, new in change.fields)
            out.print(f"{title}  [{colour}]{escape(words)}[/]", soft_wrap=True)
            continue
        parts = [
            f"{escape(name)} [red]{escape(old or '–')}[/] → [green]{escape(new or '–')}[/]"
            for name, old, new in change.fields
        ]
        out.print(f"{title}  {'; '.join(parts)}", soft_wrap=True)
