"""`mtac probe`: is this training deterministic here? A few steps, twice, in two processes."""

from __future__ import annotations

from typing import Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.arguments import AsOf, Overrides, Recipe, resolve
from mtac_assets.cli.output import Json
from mtac_assets.spec.errors import EXIT_CHECK_FAILED


@app.command()
def probe(
    recipe: Recipe,
    as_of: AsOf = None,
    overrides: Overrides = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps to run twice.")] = 4,
    json: Json = False,
) -> int:
    """Run the first steps of a training twice and name the first tensor and operation that differ."""
    from mtac_assets.training.probe import probe

    project, resolved = resolve(recipe, as_of, overrides)
    found = probe(project, resolved, steps)
    if json:
        output.emit(found.document())
    elif found.deterministic:
        output.console().print(
            f"[green]deterministic[/]  {found.compared} tensors of {steps} steps are equal, bit for bit"
        )
    else:
        output.console().print(f"[bold red]not deterministic[/]  first differs: {found.divergence}")
    return 0 if found.deterministic else EXIT_CHECK_FAILED
