"""`mtac check`: is the recipe, or every file of the project, well-formed? All findings at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import AsOf, Overrides, parse_date
from mtac_assets.cli.output import Json
from mtac_assets.spec.errors import Finding, MtacError, raise_all


@app.command()
def check(
    recipe: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="A recipe's name or file; without one, the whole project.")
    ] = None,
    as_of: AsOf = None,
    overrides: Overrides = None,
    json: Json = False,
) -> None:
    """Check a recipe, or every recipe, dataset and environment of the project."""
    from mtac_assets.spec.load import check_recipe, load_dataset, load_environment, load_recipe
    from mtac_assets.spec.project import find_project

    project = find_project()
    moment = parse_date(as_of, "--as-of") if as_of is not None else None
    loads: dict[str, Callable[[], object]] = {}
    if recipe is not None and moment is not None:
        loads[recipe] = lambda: load_recipe(project, recipe, tuple(overrides or ()), moment)
    elif recipe is not None:
        loads[recipe] = lambda: check_recipe(project, recipe, tuple(overrides or ()))
    else:
        for path in sorted(project.environments.glob("*.yaml")):
            loads[f"environment {path.stem}"] = lambda path=path: load_environment(path, project.display(path))
        for name in project.datasets():
            loads[f"dataset {name}"] = lambda name=name: load_dataset(project, name)
        for name in project.recipes():
            loads[f"recipe {name}"] = lambda name=name: check_recipe(project, name)

    findings: list[Finding] = []
    for load in loads.values():
        try:
            load()
        except MtacError as error:
            findings.extend(error.findings)
    raise_all(MtacError, dict.fromkeys(findings))  # two recipes may share a broken dataset
    if json:
        output.emit({"schema_version": 1, "checked": list(loads), "errors": []})
    else:
        for name in loads:
            output.console().print(f"[green]ok[/]  {name}")
