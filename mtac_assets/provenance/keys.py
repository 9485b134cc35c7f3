"""Keys of what is derived on the way to a model: feature partitions and training sets. Same key, same content.

Belongs here: what a derived partition depends on, as one digest, so that the floor that computes it and the plan that asks
whether it is stale agree. The key of the model itself is its fingerprint (`identity`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance import closure, distributions, environment, partitions
from mtac_assets.provenance.digest import digest_json

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

SCHEMA_VERSION = 1
FEATURE_MODULES = ("mtac_assets.data.features",)
TRAINING_SET_MODULES = ("mtac_assets.data.training_set",)


@dataclass(frozen=True)
class DerivedKeys:
    """`features`: day to key, for the days whose data is there. `training_set`: None while any of its days is missing."""

    features: Mapping[str, str]
    training_set: str | None


def derived_keys(project: Project, resolved: ResolvedRecipe, data_dir: Path | None = None) -> DerivedKeys:
    """Keys under which the features and the training set of `resolved` belong, for code and data as they are now.

    A feature partition of day D depends on the view's code with what it imports, on the recipe's `data` and `features`, and
    on the content of the rows and lookups of D and of the `history_days` before it.
    """
    needed = partitions.needed(project, resolved)
    folder = data_dir or project.state.data
    digests = partitions.content_digests(folder, needed.everything, None if data_dir else project.state.cache)
    identity = resolved.identity_document()
    view = {
        "schema_version": SCHEMA_VERSION,
        "data": identity["data"],
        "features": identity["features"],
        "code": _code(project, resolved, FEATURE_MODULES),
    }
    common = digest_json(view)
    windows = resolved.windows()
    history = resolved.recipe.window.history_days if resolved.recipe.window is not None else 0
    features = {
        day: key
        for day in windows.features
        if (key := _feature_key(common, day, history, needed.everything, digests)) is not None
    }
    learned = (*windows.train, *windows.validate)
    training_set = None
    if all(day in features for day in learned):
        training_set = digest_json(
            {
                "schema_version": SCHEMA_VERSION,
                "code": _code(project, resolved, TRAINING_SET_MODULES),
                "split": identity.get("split"),
                "train": {day: features[day] for day in windows.train},
                "validate": {day: features[day] for day in windows.validate},
            }
        )
    return DerivedKeys(features, training_set)


def _feature_key(
    common: str, day: str, history: int, needed: Mapping[str, Iterable[str]], digests: Mapping[str, str]
) -> str | None:
    first = day if day == partitions.ALL else (date.fromisoformat(day) - timedelta(days=history)).isoformat()
    inputs: dict[str, str] = {}
    for dataset, keys in needed.items():
        for key in keys:
            if key == partitions.ALL or first <= key <= day:
                digest = digests.get(f"{dataset}/{key}")
                if digest is None:
                    return None
                inputs[f"{dataset}/{key}"] = digest
    return digest_json([common, day, inputs])


def _code(project: Project, resolved: ResolvedRecipe, modules: tuple[str, ...]) -> dict[str, Any]:
    found = closure.closure_of_recipe(project, resolved, modules)
    installed = distributions.versions(
        found.external, project.state.cache / "distributions.json", exclude=[project.package]
    )
    return {"leaves": dict(found.leaves), "environment": environment.declared(project, resolved, installed)}
