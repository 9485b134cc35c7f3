"""`mtac predict`: a model answers for the rows of a file, by the same features as in training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import Recipe
from mtac_assets.cli.output import Json
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


@app.command()
def predict(
    recipe: Recipe,
    source: Annotated[Path, typer.Option("--input", metavar="FILE", help="Raw rows: .csv or .parquet.")],
    out: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where scores go: .csv or .parquet.")],
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL_ID", help="Another model than the champion.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output file.")] = False,
    json: Json = False,
) -> None:
    """Score the rows of a file with the champion; history comes from the partitions that are there."""
    from mtac_assets.monitoring.launch import predict_file_apart
    from mtac_assets.spec.project import find_project

    project = find_project()
    name = _recipe_name(project, recipe)
    model_id, role = _model(project, name, model)
    answer = predict_file_apart(project, model_id, source, out, force=force, on_note=output.note)
    document = {"schema_version": 1, "recipe": name, "status": role, "output": output.shown_path(out), **answer}
    if json:
        output.emit(document)
    else:
        _print(document)


def _recipe_name(project: Project, recipe: str) -> str:
    from mtac_assets.spec.locate import locate

    return locate(project, recipe, project.recipes(), "recipe").parent.name


def _model(project: Project, recipe: str, prefix: str | None) -> tuple[str, str]:
    """The model asked for, or the champion by the ledger of this environment; and its status."""
    from mtac_assets.provenance import ledger, refs

    if prefix is not None:
        summary = refs.find_model(project, refs.resolve_id(project, prefix))
        if summary.recipe != recipe:
            error = f"{summary.model_id} is a model of {summary.recipe}"
            raise MtacError(Finding(error, "--model", f"a model of {recipe}", f"mtac models {recipe}"))
        return summary.model_id, summary.status
    champion = ledger.champion_at(project, project.environment.name, recipe)
    if champion is None or champion.model_id is None:
        raise MtacError(
            Finding(
                f"{recipe} has no champion in {project.environment.name}",
                "the ledger",
                "a champion, or the name of a model",
                "add --model MODEL_ID, or promote one with `mtac promote`",
            )
        )
    return champion.model_id, "champion"


def _print(document: dict[str, Any]) -> None:
    from rich.markup import escape

    out = output.console()
    out.print(f"[bold]{document['model_id']}[/]  {document['status']}")
    out.print(f"  {document['rows']:,} rows scored, {document['labelled']:,} with a known label", soft_wrap=True)
    if document["missing_partitions"]:
        shown = ", ".join(document["missing_partitions"][:5])
        count = len(document["missing_partitions"])
        out.print(f"  [yellow]history is short: {count} partitions are not there: {escape(shown)}[/]", soft_wrap=True)
    for name, count in document["unseen_categories"].items():
        out.print(f"  [yellow]{escape(name)}: {count} rows have a value the model never saw[/]", soft_wrap=True)
    for rule in document["rules_not_asked"]:
        out.print(f"  [dim]not asked, for it needs an outcome: {escape(rule)}[/]", soft_wrap=True)
    out.print(f"  [dim]scores[/]  {escape(document['output'])}", soft_wrap=True)
