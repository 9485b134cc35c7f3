"""`mtac models`: the models there are, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json
from mtac_assets.cli.record import METRICS, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mtac_assets.provenance.refs import ModelSummary

SHOWN = 20
"""Models that a person sees without asking for more; a program (`--json`) gets all of them."""


@app.command()
def models(
    recipe: Annotated[str | None, typer.Argument(metavar="[RECIPE]", help="Only models of this recipe.")] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help=f"The newest N only; without it {SHOWN} in a table, all in --json."),
    ] = None,
    json: Json = False,
) -> None:
    """List models, newest first, with their state: candidate, challenger, champion or archived."""
    from mtac_assets.provenance.refs import list_models
    from mtac_assets.spec.collector import paused
    from mtac_assets.spec.project import find_project

    with paused():
        listed = list_models(find_project(), recipe)
        if json:
            output.emit({"schema_version": 1, "models": [summary.document() for summary in listed[:limit]]})
            return
    if not listed:
        output.console().print("no models yet; `mtac run RECIPE --as-of DATE` makes one")
        return
    shown = listed[: limit or SHOWN]
    _print(shown)
    if limit is None and len(shown) < len(listed):
        output.console().print(f"the newest {len(shown)} of {len(listed):,}; `--limit N` shows more, `--json` all\n")


def _print(shown: Sequence[ModelSummary]) -> None:
    """A table whose metric is each model's first; its name heads the column where all have the same."""
    first = [next(iter(in_order(one.metrics, METRICS)), None) for one in shown]
    common = first[0] if len(set(first)) == 1 else None
    rows = [
        [
            one.model_id,
            one.as_of or "no time",
            one.status,
            " ".join(filter(None, [None if common else name, output.value_text(one.metrics.get(name or ""))])),
            one.created_at[:16].replace("T", " "),
        ]
        for one, name in zip(shown, first, strict=True)
    ]
    heading = common.replace("_", " ") if common else "metric"
    output.print_table("", ["model", "as of", "status", heading, "created (UTC)"], rows)
