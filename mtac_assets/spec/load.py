"""The door to the language: recipes and datasets by name or file, environments, resolved recipes.

What is asked here is answered from memory where nothing changed (`remembered`), and read and checked otherwise
(`reading`, `stored`); so nothing that needs pydantic or ruamel.yaml is imported before it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mtac_assets.spec.locate import locate
from mtac_assets.spec.project import Project, load_environment
from mtac_assets.spec.remembered import recall, remember
from mtac_assets.spec.resolved import ResolvedRecipe

if TYPE_CHECKING:
    from mtac_assets.spec.dataset import Dataset
    from mtac_assets.spec.reading import Inputs
    from mtac_assets.spec.recipe import Recipe

_ANSWERS_KEPT = 64
Answer = TypeVar("Answer")
_answers: dict[tuple[object, ...], tuple[Any, Inputs]] = {}  # of this process

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
    path = locate(project, name_or_path, project.recipes(), "recipe")

    def read() -> tuple[Recipe, Inputs]:
        from mtac_assets.spec.reading import read_recipe

        resolved, inputs = read_recipe(project, path, overrides, needs_date=False)
        return resolved.recipe, inputs

    return _once(("recipe", path, tuple(overrides)), read)


def load_dataset(project: Project, name_or_path: str | Path) -> Dataset:
    """The dataset of that name, or in that file of the project. Raises SpecError."""
    path = locate(project, name_or_path, project.datasets(), "dataset")

    def read() -> tuple[Dataset, Inputs]:
        from mtac_assets.spec.reading import read_dataset

        return read_dataset(project, path)

    return _once(("dataset", path), read)


def load_resolved(path: Path, project: Project | None = None) -> ResolvedRecipe:
    """The resolved recipe in the JSON file at `path`, which `document()` made. Raises SpecError.

    Its folder is looked for in `project`, by default that of the current folder.
    """
    from mtac_assets.spec.stored import read_resolved

    return read_resolved(path, project)


def _once(question: tuple[object, ...], read: Callable[[], tuple[Answer, Inputs]]) -> Answer:
    """What `read` finds valid, found once a process for as long as every file that it came from holds the same bytes: a daemon asks
    at every look, to see an edit at once. Specs are frozen, so the answer can be shared."""
    known = _answers.get(question)
    if known is not None and all(_content(path) == content for path, content in known[1].items()):
        return known[0]
    _answers.pop(question, None)
    answer = read()
    _answers[question] = answer
    for oldest in list(_answers)[:-_ANSWERS_KEPT]:
        _answers.pop(oldest, None)
    return answer[0]


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
