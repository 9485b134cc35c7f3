"""The training set that a recorded model learnt from: one that is there with the digest it recorded, or built again and compared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.data.mix.errors import MixError
from mtac_assets.data.mix.folder import KIND, MANIFEST
from mtac_assets.provenance import refs
from mtac_assets.provenance.document import read_object
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.stored import parse_resolved

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe


@dataclass(frozen=True)
class TracedModel:
    """A model of texts, with the folder of its training set."""

    model_id: str
    resolved: ResolvedRecipe
    folder: Path

    @property
    def seed(self) -> int:
        return self.resolved.fields["training"]["seed"]


def language_models(project: Project) -> list[str]:
    """IDs of all recorded models that learnt from texts, newest first."""
    found = refs.list_models(project)
    return [summary.model_id for summary in found if recipe_of(project, summary.model_id).is_language]


def traced(project: Project, model_id: str) -> TracedModel:
    """A model by its full ID. Raises MixError where it learnt from rows, or its training set cannot be had here any more."""
    resolved = recipe_of(project, model_id)
    if not resolved.is_language:
        finding = Finding(
            f"{model_id} learnt from rows", model_id, "a model of texts", "mtac show says what it learnt from"
        )
        raise MixError(finding)
    recorded: str = json.loads(refs.read_model_file(project, model_id, "training.json"))["training_set"]
    folder = _there(project, recorded)
    if folder is None:
        from mtac_assets.data.training_set import build

        built = build(project, resolved)
        folder = built.folder
        if built.digest != recorded:
            finding = Finding(
                f"its training set {recorded[:12]} is not here, and today's code and data give {built.digest[:12]}",
                model_id,
                "the texts and the code that it was trained with",
                f"check out refs/mtac/models/{model_id}, run `dvc pull`, and ask again there",
            )
            raise MixError(finding)
    return TracedModel(model_id, resolved, folder)


def recipe_of(project: Project, model_id: str) -> ResolvedRecipe:
    """The recipe that a recorded model was trained by."""
    content = refs.read_model_file(project, model_id, "recipe.json")
    return parse_resolved(content, f"{model_id}/recipe.json", project.root)


def _there(project: Project, digest: str) -> Path | None:
    for path in sorted(project.state.training_sets.glob(f"*/{MANIFEST}")):
        document = read_object(path)
        if document is not None and document.get("kind") == KIND and document.get("digest") == digest:
            return path.parent
    return None
