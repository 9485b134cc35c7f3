"""What one training is, for MLflow: the words of the recorder's callers, put together from the contract's documents.

Values only; `record.py` writes them down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance.digest import digest_json

if TYPE_CHECKING:
    from mtac_assets.provenance.identity import Declaration
    from mtac_assets.spec.load import ResolvedRecipe

MODEL_ID_TAG = "mtac.model_id"


@dataclass(frozen=True, slots=True)
class DataInput:
    """The partitions of one dataset that a run read: partition key to content digest (hex)."""

    dataset: str
    partitions: Mapping[str, str]
    context: str = "training"

    @property
    def digest(self) -> str:
        """One digest over exactly these partitions."""
        return digest_json(dict(self.partitions))

    def document(self) -> dict[str, Any]:
        keys = sorted(self.partitions)
        profile = {"partitions": len(keys), "first": keys[0], "last": keys[-1]} if keys else {"partitions": 0}
        return {"name": self.dataset, "digest": self.digest, "context": self.context, "profile": profile}


@dataclass(frozen=True, slots=True)
class Training:
    """One training to be recorded: one MLflow run in the experiment named after the recipe."""

    experiment: str
    model_id: str
    recipe: Mapping[str, Any]
    data: tuple[DataInput, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dagster_run_id: str | None = None


def training(
    resolved: ResolvedRecipe,
    declaration: Declaration,
    *,
    dagster_run_id: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Training:
    """The description of a training from what was declared before it: recipe, data digests, environment."""
    name = resolved.recipe.name
    partitions: dict[str, dict[str, str]] = {}
    for leaf, digest in declaration.data.items():
        dataset, _, key = leaf.rpartition("/")
        partitions.setdefault(dataset, {})[key] = digest
    own_tags = {"mtac.fingerprint": declaration.fingerprint, "mtac.recipe": name}
    if resolved.as_of is not None:
        own_tags["mtac.as_of"] = resolved.as_of.isoformat()
    return Training(
        experiment=name,
        model_id=declaration.model_id(name),
        recipe=resolved.document(),
        data=tuple(DataInput(dataset, keys) for dataset, keys in sorted(partitions.items())),
        environment=dict(declaration.environment),
        tags={**own_tags, **(tags or {})},
        dagster_run_id=dagster_run_id,
    )
