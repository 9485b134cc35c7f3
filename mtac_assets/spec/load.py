"""The door to the language: recipes and datasets by name or file, environments, resolved recipes.

What is asked here is answered from memory where nothing changed (`remembered`), and read and checked otherwise
(`reading`, `stored`); so nothing that needs pydantic or ruamel.yaml is imported before it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.spec.locate import locate
from mtac_assets.spec.project import Project, load_environment
from mtac_assets.spec.remembered import recall, remember
from mtac_assets.spec.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from mtac_assets.spec.dataset import Dataset
    from mtac_assets.spec.recipe import Recipe

__all__ = ["ResolvedRecipe", "check_recipe", "load_dataset", "load_environment", "load_recipe", "load_resolved"]


def load_recipe(
    project: Project, name_or_path: str | Path, overrides: Sequence[str] = (), as_of: date | None = None
) -> ResolvedRecipe:
    """The recipe of that name, or in that file of the project, with `FIELD=VALUE` overrides, as of a date.

    A recipe with a window needs `as_of`, one without refuses it. Raises SpecError with every finding: in the file, the
    overrides, the functions and datasets that it names, and whether these datasets reach over the whole window.
    """
    path = locate(project, name_or_path, project.recipes(), "recipe")
    memory = project.state.cache / "recipes"
    question = ["recipe", project.display(path), list(overrides), as_of.isoformat() if as_of else None]
    known = recall(memory, project.root, question)
    if known is not None:
        return ResolvedRecipe.from_document(known, project.root)
    from mtac_assets.spec.reading import read_recipe

    resolved, inputs = read_recipe(project, path, overrides, as_of)
    remember(memory, project.root, question, inputs, resolved.document())
    return resolved


def check_recipe(project: Project, name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe alone, of no date: what `mtac check` looks at. Raises SpecError as `load_recipe` does."""
    from mtac_assets.spec.reading import read_recipe

    path = locate(project, name_or_path, project.recipes(), "recipe")
    return read_recipe(project, path, overrides, needs_date=False)[0].recipe


def load_dataset(project: Project, name_or_path: str | Path) -> Dataset:
    """The dataset of that name, or in that file of the project. Raises SpecError."""
    from mtac_assets.spec.reading import read_dataset

    return read_dataset(project, locate(project, name_or_path, project.datasets(), "dataset"))


def load_resolved(path: Path, project: Project | None = None) -> ResolvedRecipe:
    """The resolved recipe in the JSON file at `path`, which `document()` made. Raises SpecError.

    Its folder is looked for in `project`, by default that of the current folder.
    """
    from mtac_assets.spec.stored import read_resolved

    return read_resolved(path, project)
