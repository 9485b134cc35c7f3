"""`mtac verify`: every digest of a model, of all models, or of the ledger, checked offline."""

from __future__ import annotations

from typing import Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json
from mtac_assets.spec.errors import CheckFailed, Finding, raise_all


@app.command()
def verify(
    model_id: Annotated[
        str | None, typer.Argument(metavar="[MODEL_ID]", help="One model; without it, all of them and every ledger.")
    ] = None,
    ledger: Annotated[bool, typer.Option("--ledger", help="The ledgers alone.")] = False,
    json: Json = False,
) -> None:
    """Hash everything again and compare it with what was recorded. Exit code 1 when something differs."""
    from mtac_assets.provenance import refs
    from mtac_assets.provenance.git import Repository
    from mtac_assets.provenance.ledger import environments
    from mtac_assets.provenance.ledger_check import check
    from mtac_assets.provenance.signatures import ledger_problems
    from mtac_assets.provenance.verify import verify_all, verify_model
    from mtac_assets.spec.project import find_project

    project = find_project()
    found: dict[str, list[Finding]] = {}
    if model_id is not None:
        full = refs.resolve_id(project, model_id)
        found[full] = verify_model(project, full)
    elif not ledger:
        found |= verify_all(project)
    if model_id is None:
        repository = Repository.at(project.root)
        found |= {f"ledger {name}": check(repository, name) for name in environments(repository)}
        own = f"ledger {project.environment.name}"
        if found.get(own) == []:
            found[own] = ledger_problems(project)
    findings = [finding for each in found.values() for finding in each]
    if not json:
        for name, each in found.items():
            output.console().print(f"{'[bold red]damaged[/]' if each else '[green]intact[/]'}  {name}")
    if json and not findings:
        output.emit({"schema_version": 1, "intact": list(found), "errors": []})
    raise_all(CheckFailed, findings)
