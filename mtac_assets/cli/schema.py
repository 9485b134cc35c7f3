"""`mtac schema`: JSON Schema of the YAML files, for editors."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app


class Kind(StrEnum):
    recipe = "recipe"
    language_recipe = "language_recipe"
    dataset = "dataset"
    environment = "environment"


@app.command()
def schema(
    kind: Annotated[Kind, typer.Argument(help="Which file the schema describes.")] = Kind.recipe,
) -> None:
    """Print the JSON Schema of recipe.yaml (of rows, or of texts), dataset.yaml or an environment, for editors."""
    from mtac_assets.spec.schema import json_schema

    output.emit(json_schema(kind.value))
