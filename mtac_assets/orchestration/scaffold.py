"""`dg scaffold defs mtac_assets.orchestration.… NAME`: a new folder that works as it is, with comments that say what to change.

The templates are the files that a team would write; NAME stands for the folder's name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from mtac_assets.provenance.files import write_atomic
from mtac_assets.spec.errors import Finding, SpecError

TEMPLATES = Path(__file__).parent / "templates"
PLACEHOLDER = "__NAME__"


class DatasetScaffolder(dg.Scaffolder[Any]):
    """Writes dataset.yaml and contract.py beside defs.yaml."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        _write(request, "dataset", {"dataset.yaml": "dataset.yaml", "contract.py": "contract.py.txt"})


class RecipeScaffolder(dg.Scaffolder[Any]):
    """Writes recipe.yaml and features.py beside defs.yaml."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        _write(request, "recipe", {"recipe.yaml": "recipe.yaml", "features.py": "features.py.txt"})


def _write(request: dg.ScaffoldRequest[Any], kind: str, files: dict[str, str]) -> None:
    if request.scaffold_format != "yaml":
        raise SpecError(
            Finding(
                f"a {kind} cannot be written as {request.scaffold_format}",
                "--format",
                "yaml: what a team decides stands in YAML, in the strict language",
                "leave --format out",
            )
        )
    folder = request.target_path
    taken = [name for name in files if (folder / name).exists()]
    if taken:
        raise SpecError(
            Finding(f"{', '.join(taken)} is there already", str(folder), "a new folder", "choose another name")
        )
    for name, template in files.items():
        content = (TEMPLATES / kind / template).read_text(encoding="utf-8").replace(PLACEHOLDER, folder.name)
        write_atomic(folder / name, content.encode())
    write_atomic(folder / "defs.yaml", f"type: {request.type_name}\n".encode())
