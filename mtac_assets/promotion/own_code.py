"""The code that trained a model, at hand: the project's where it has not changed since, its commit's in a clean room otherwise."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from mtac_assets.promotion.clean_room import clean_room
from mtac_assets.provenance import closure, refs
from mtac_assets.provenance.document import parse_object
from mtac_assets.spec.errors import MtacError

if TYPE_CHECKING:
    from mtac_assets.provenance.refs import ModelSummary
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe


@contextmanager
def own_code(project: Project, summary: ModelSummary, resolved: ResolvedRecipe) -> Generator[Project]:
    """The project whose code is the one that trained the model, with the state of `project`."""
    if is_own_code(project, summary, resolved):
        yield project
        return
    with clean_room(project, summary) as room:
        yield replace(project, root=room.root)


def is_own_code(project: Project, summary: ModelSummary, resolved: ResolvedRecipe) -> bool:
    """Whether the project's code, as it is now, is the one that trained the model."""
    document = parse_object(refs.read_model_file(project, summary.model_id, "declaration.json", folder=summary.folder))
    leaves = document["leaves"] if document is not None else {}
    declared = {name: value for name, value in leaves.items() if name.startswith("code.")}
    try:
        ours = closure.closure_of_recipe(project, resolved).leaves
    except MtacError:
        return False  # the recipe is no longer here, or no longer sound
    return ours == declared
