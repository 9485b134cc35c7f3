"""What a training stands on, brought together and checked before torch does anything: recipe, identity, arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtac_assets.data.mix.folder import KIND
from mtac_assets.data.training_set_schema import FeatureSchema
from mtac_assets.provenance.digest import digest_json
from mtac_assets.provenance.files import read_json
from mtac_assets.provenance.identity import MODEL_ID_DIGITS
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.checkpoint import Identity
from mtac_assets.training.tokens import TokenSchema


@dataclass(frozen=True)
class Inputs:
    """`declaration` is `Declaration.document()`; `training_set` a folder as data.training_set builds it.

    `project` None (tests of the loop, a bare container without the project's code) skips the check that all loaded code was declared.
    """

    resolved: ResolvedRecipe
    declaration: dict[str, Any]
    training_set: Path
    manifest: dict[str, Any]
    schema: FeatureSchema | TokenSchema
    project: Project | None = None

    @property
    def fingerprint(self) -> str:
        return self.declaration["fingerprint"]

    @property
    def model_id(self) -> str:
        return f"{self.resolved.recipe.name}-{self.fingerprint[:MODEL_ID_DIGITS]}"

    @property
    def identity(self) -> Identity:
        """The declaration's parts, each as a digest, so that a refusal can say which of them differs."""
        leaves: dict[str, str] = self.declaration["leaves"]
        parts = {
            part: digest_json(
                {name: value for name, value in leaves.items() if name.startswith((f"{part}.", f"{part}["))}
            )
            for part in ("recipe", "code", "data", "environment")
        }
        return Identity(fingerprint=self.fingerprint, training_set=self.manifest["digest"], **parts)


def gather(project: Project, resolved: ResolvedRecipe, data: Path, training_set: Path | None = None) -> Inputs:
    """Declare the training and build its training set from the partitions under `data` (or take `training_set` as it is)."""
    from mtac_assets.data.training_set import build
    from mtac_assets.provenance.identity import declare

    data_dir = None if data == project.state.data else data
    declaration = declare(project, resolved, data_dir).document()
    folder = training_set or build(project, resolved, data_dir).folder
    return from_folder(resolved, declaration, folder, project)


def from_folder(
    resolved: ResolvedRecipe, declaration: dict[str, Any], folder: Path, project: Project | None = None
) -> Inputs:
    manifest = read_json(folder / "manifest.json")
    kind: type[FeatureSchema | TokenSchema] = TokenSchema if manifest.get("kind") == KIND else FeatureSchema
    return Inputs(resolved, declaration, folder, manifest, kind.from_manifest(manifest), project)
