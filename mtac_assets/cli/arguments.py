"""Arguments that several verbs share, and how a recipe is loaded from them."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.load import ResolvedRecipe
    from mtac_assets.spec.project import Project

Recipe = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name, or the path of its recipe.yaml.")]
AsOf = Annotated[
    str | None, typer.Option("--as-of", metavar="DATE", help="The moment the model may know, e.g. 2013-07-15.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one value, e.g. training.learning_rate=3e-3; recorded."),
]


def parse_date(text: str, option: str) -> date:
    """A date given on the command line; anything but YYYY-MM-DD is an error that names the option."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise MtacError(
            Finding(f"{text!r} is not a date", option, "a day as YYYY-MM-DD", f"write it like {option} 2013-07-15")
        ) from None


def resolve(recipe: str, as_of: str | None, overrides: list[str] | None) -> tuple[Project, ResolvedRecipe]:
    """The project that the user stands in and the recipe as it will be run."""
    from mtac_assets.spec.load import load_recipe
    from mtac_assets.spec.project import find_project

    moment = parse_date(as_of, "--as-of") if as_of is not None else None
    project = find_project()
    return project, load_recipe(project, recipe, tuple(overrides or ()), moment)
