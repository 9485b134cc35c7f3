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


ModelId = Annotated[str, typer.Argument(metavar="MODEL_ID", help="A Model ID, or a unique beginning of one.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who asks; your Git name if left out.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the ledger.")]


def person(given: str | None) -> str:
    """The name that goes into the ledger: the one given, or Git's user.name. Never a guess."""
    if given is not None and given.strip():
        return given.strip()
    import subprocess

    done = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout.strip():
        return done.stdout.strip()
    raise MtacError(
        Finding(
            "nobody is named for the ledger", "--by", "the name of a person", "add --by NAME, or set Git's user.name"
        )
    )
