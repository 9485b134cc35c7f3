"""`mtac models`: the models there are, newest first."""

from __future__ import annotations

from typing import Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json


@app.command()
def models(
    recipe: Annotated[str | None, typer.Argument(metavar="[RECIPE]", help="Only models of this recipe.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="The newest N only.")] = None,
    json: Json = False,
) -> None:
    """List models, newest first, with their state: candidate, challenger, champion or archived."""
    from mtac_assets.provenance.refs import list_models
    from mtac_assets.spec.project import find_project

    listed = [summary.document() for summary in list_models(find_project(), recipe)][:limit]
    if json:
        output.emit({"schema_version": 1, "models": listed})
        return
    if not listed:
        output.console().print("no models yet; `mtac run RECIPE --as-of DATE` makes one")
        return
    rows = [
        [
            one["model_id"],
            one["recipe"],
            one["as_of"] or "",
            one["status"],
            output.metric_text(one["metrics"].get("roc_auc")),
            one["created_at"],
        ]
        for one in listed
    ]
    output.print_table("", ["model", "recipe", "as of", "status", "ROC AUC", "created"], rows)
