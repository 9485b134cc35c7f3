"""`mtac run`: bring one model up to date. A run that has nothing to do decides so before Dagster is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtac_assets.cli import output, record
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import AsOf, Overrides, Recipe, resolve
from mtac_assets.cli.output import Json
from mtac_assets.spec.errors import EXIT_CHECK_FAILED

if TYPE_CHECKING:
    from mtac_assets.promotion.audit import Audit
    from mtac_assets.spec.load import ResolvedRecipe
    from mtac_assets.spec.project import Project


@app.command()
def run(
    recipe: Recipe,
    as_of: AsOf = None,
    overrides: Overrides = None,
    force: Annotated[bool, typer.Option("--force", help="Train again even if an intact result is there.")] = False,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", metavar="N", min=0, help="Workers of the training: the same bits. 0: as the environment says."
        ),
    ] = 0,
    audit_cache: Annotated[
        int, typer.Option("--audit-cache", metavar="N", min=0, help="Then make N stored results again and compare.")
    ] = 0,
    seed: Annotated[int | None, typer.Option("--audit-seed", min=0, help="Seed that draws them; recorded.")] = None,
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Who asks; part of the model's record, not of its identity.")
    ] = "",
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; part of the model's record, not of its identity.")
    ] = "",
    json: Json = False,
) -> int:
    """Ingest, validate, compute features, train, evaluate and record one model: only what is not up to date."""
    project, resolved = resolve(recipe, as_of, overrides)
    document = run_model(project, resolved, force=force, workers=workers, by=by, reason=reason)
    audited = _audit(project, resolved, audit_cache, seed) if audit_cache else None
    if json:
        output.emit(document | ({"audit": audited.document()} if audited is not None else {}))
    else:
        print_model(document)
    if audited is None:
        return 0
    if not json:
        _print_audit(audited)
    return EXIT_CHECK_FAILED if audited.different else 0


def _audit(project: Project, resolved: ResolvedRecipe, count: int, seed: int | None) -> Audit:
    from mtac_assets.promotion.audit import audit

    return audit(project, resolved, count, seed=seed, echo=output.note)


def _print_audit(audited: Audit) -> None:
    out = output.console()
    drawn = f"{len(audited.audited)} of {audited.hits} stored results made again (seed {audited.seed})"
    out.print(
        f"audit    {drawn}: " + ("[green]all the same[/]" if not audited.different else "[bold red]not the same[/]")
    )
    for one in audited.different:
        out.print(
            f"         {one.hit.asset} {one.hit.partition}: {one.hit.digest[:16]} stored, {one.again[:16]} made again"
        )


def run_model(
    project: Project,
    resolved: ResolvedRecipe,
    *,
    force: bool = False,
    workers: int = 0,
    by: str = "",
    reason: str = "",
) -> dict[str, Any]:
    """What `mtac run` answers: the model's record, with `status` built or unchanged. `by` and `reason` go into the record of
    what is made now; what was made before keeps its own."""
    from mtac_assets.provenance import plan as planning

    wanted = planning.plan(project, resolved)
    if wanted.up_to_date and wanted.model_id is not None and not force:
        if by or reason:
            output.note("nothing is made, so there is no record that would hold who asks and why")
        return record.model_record(project, wanted.model_id) | {"status": "unchanged"}

    from mtac_assets.orchestration.line import run_line
    from mtac_assets.orchestration.triggers.tags import person_tags

    result = run_line(project, resolved, echo=output.note, force=force, workers=workers, tags=person_tags(by, reason))
    return record.model_record(project, result.model_id) | {
        "status": "built",
        "mlflow_url": result.mlflow_url,
        "dagster_runs": list(result.dagster_run_ids),
    }


def print_model(document: dict[str, Any]) -> None:
    """A model's record as a page: what it is, how good, against what, and where to look."""
    out = output.console()
    status = "[dim]unchanged[/]" if document.get("status") == "unchanged" else "[green]built[/]"
    out.print(f"\n[bold]{document['model_id']}[/]  {status}")
    as_of = f"as of {document['as_of']}, " if document["as_of"] else ""
    out.print(f"{as_of}weights {document['weights_digest'][:12]}, {document['test_rows']:,} test rows")
    output.print_metrics(document["metrics"], document["baselines"])
    out.print(f"report   {document['report']}", soft_wrap=True)
    if document.get("mlflow_url"):
        out.print(f"MLflow   {document['mlflow_url']}", soft_wrap=True)
