"""`mtac check`: is the recipe, or every file of the project, well-formed? All findings at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import AsOf, Overrides, parse_date
from mtac_assets.cli.output import Json
from mtac_assets.spec.collector import paused
from mtac_assets.spec.errors import EXIT_CHECK_FAILED, Finding, MtacError, raise_all

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.remarks import Remark


@app.command()
def check(
    recipe: Annotated[
        str | None, typer.Argument(metavar="[RECIPE]", help="A recipe's name or file; without one, the whole project.")
    ] = None,
    as_of: AsOf = None,
    overrides: Overrides = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="W", min=1, help="Check before training on so many workers.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="Check before training there: cpu, h200, h100, ...")
    ] = None,
    json: Json = False,
) -> int:
    """Check a recipe, or every recipe, dataset and environment of the project; with --workers or --device, before a training."""
    from mtac_assets.spec.load import check_recipe, load_dataset, load_environment, load_recipe
    from mtac_assets.spec.project import find_project
    from mtac_assets.spec.recipe import Recipe
    from mtac_assets.spec.remarks import remarks
    from mtac_assets.spec.resolved import ResolvedRecipe

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
    found: list[tuple[str, Remark]] = []
    for load in loads.values():
        try:
            loaded = load()
        except MtacError as error:
            findings.extend(error.findings)
            continue
        sound = loaded.recipe if isinstance(loaded, ResolvedRecipe) else loaded
        if isinstance(sound, Recipe):
            found += [(sound.name, remark) for remark in remarks(sound)]
    raise_all(MtacError, dict.fromkeys(findings))  # two recipes may share a broken dataset
    if workers is not None or device is not None:
        return _before_training(project, recipe, overrides, moment, workers, device, json)
    if json:
        told = [{"recipe": name, **remark.document()} for name, remark in found]
        output.emit({"schema_version": 1, "checked": list(loads), "errors": [], "remarks": told})
    else:
        for name in loads:
            output.console().print(f"[green]ok[/]  {name}")
        for name, remark in found:
            output.console().print(f"[yellow]worth a word[/]  {name}: {remark.where} {remark.text}", soft_wrap=True)
    return 0


def _before_training(
    project: Project,
    recipe: str | None,
    overrides: list[str] | None,
    moment: date | None,
    workers: int | None,
    device: str | None,
    json: bool,
) -> int:
    """The preflight of one recipe: every check with its numbers, and what failed with its remedy."""
    from mtac_assets.data.training_set import find_built
    from mtac_assets.spec.load import load_recipe
    from mtac_assets.training.preflight.facts import facts_of
    from mtac_assets.training.preflight.registry import run

    if recipe is None:
        finding = Finding("--workers and --device check one recipe", "mtac check", "a recipe's name", "name it")
        raise MtacError(finding)
    resolved = load_recipe(project, recipe, tuple(overrides or ()), moment)
    workers = workers or project.environment.launcher.workers
    built = find_built(project, resolved) if resolved.is_language else None
    manifest = built.manifest if built is not None else None
    with paused():  # torch is loaded here, and its many objects all stay
        results = run(facts_of(project, resolved, workers=workers, device=device, manifest=manifest))
    failed = [result for result in results if result.finding is not None]
    if json:
        checks = [result.document() for result in results]
        output.emit({"schema_version": 1, "checked": [recipe], "workers": workers, "checks": checks})
    else:
        for result in results:
            numbers = ", ".join(f"{name} {_shown(value)}" for name, value in result.evidence.items())
            mark = "[green]ok[/]    " if result.passed else "[bold red]failed[/]"
            output.console().print(f"{mark}  {result.id:<28}{numbers}", soft_wrap=True)
            if result.remark is not None:
                output.console().print(f"        {result.remark}", soft_wrap=True, markup=False)
        for result in failed:
            output.console().print(f"\n{result.id}: {result.finding}", soft_wrap=True, markup=False)
    return EXIT_CHECK_FAILED if failed else 0


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
