"""Jobs: a name for what a person or a trigger starts. Each runs in process; only training has a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration.sizes import pod_tags

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import DatasetPlace, RecipePlace
    from mtac_assets.spec.project import Project

TRAINING_POOL = "training"  # its limit keeps trainings from running side by side
RECIPE_TAG = "mtac/recipe"
DATASET_TAG = "mtac/dataset"
MAX_RUNTIME_TAG = "dagster/max_runtime"
TRAINED_ASSETS = ("training_set", "model", "report")
TEXT_ASSETS = ("scores", "tokenizer")
"""What a recipe of texts has before its training set, in place of features."""


def ingest_name(dataset: str) -> str:
    return f"{dataset}_ingest"


def features_name(recipe: str) -> str:
    return f"{recipe}_features"


def watch_name(recipe: str) -> str:
    return f"{recipe}_watch"


def performance_name(recipe: str) -> str:
    return f"{recipe}_performance"


def live_decisions_name(recipe: str) -> str:
    return f"{recipe}_live_decisions"


def train_name(recipe: str) -> str:
    return f"{recipe}_train"


def line_name(recipe: str) -> str:
    return f"{recipe}_line"


def ingest_job(place: DatasetPlace) -> Any:
    """Bring days of one dataset in; a range of days is one run."""
    name = place.dataset.name
    return dg.define_asset_job(
        ingest_name(name),
        selection=[place.key],
        description=f"Read, validate, store and version days of `{name}`.",
        tags={DATASET_TAG: name},
        run_tags=_limits(place.project) | {DATASET_TAG: name},
        executor_def=executor(place.project),
    )


def features_job(place: RecipePlace) -> Any:
    """Compute days of one recipe's features; a range of days is one run."""
    return dg.define_asset_job(
        features_name(place.name),
        selection=[place.key("features")],
        description=f"Compute days of the features of `{place.name}`.",
        tags={RECIPE_TAG: place.name},
        run_tags=_limits(place.project) | {RECIPE_TAG: place.name},
        executor_def=executor(place.project),
    )


def trained_assets(is_language: bool) -> tuple[str, ...]:
    """The assets that one run of the train job makes, in order."""
    return (*TEXT_ASSETS, *TRAINED_ASSETS) if is_language else TRAINED_ASSETS


def train_job(place: RecipePlace) -> Any:
    """Train and evaluate one model, from features that are there."""
    return dg.define_asset_job(
        train_name(place.name),
        selection=[place.key(asset) for asset in trained_assets(place.is_language)],
        description=f"Train and evaluate `{place.name}` for one as-of date.",
        tags={RECIPE_TAG: place.name},
        run_tags=_limits(place.project) | pod_tags(place.project, place.recipe) | {RECIPE_TAG: place.name},
        executor_def=executor(place.project),
    )


def reproduce_job(place: RecipePlace) -> Any:
    """Train one recorded model again from its commit, and compare."""
    description = f"Rebuild a model of `{place.name}` and compare all bits."
    pod = pod_tags(place.project, place.recipe)
    return _job(place, [place.key("reproduction")], "reproduce", description, pod)


def promote_job(place: RecipePlace) -> Any:
    """Ask for one model's promotion; needs approver and reason."""
    return _job(place, [place.key("champion")], "promote", f"Promote a model of `{place.name}` if every gate passes.")


def watch_jobs(place: RecipePlace) -> list[Any]:
    """Score days and judge their drift; judge live performance. A recipe without time has none."""
    triggers = place.recipe.triggers
    if place.recipe.window is None:
        return []
    daily = [place.key("predictions"), *([place.key("drift")] if triggers.drift is not None else [])]
    jobs = [_job(place, daily, "watch", f"Score days with the champion of `{place.name}`, and judge their drift.")]
    if triggers.performance is not None:
        description = f"Judge the champion of `{place.name}` by the labels that have arrived."
        jobs.append(_job(place, [place.key("performance")], "performance", description))
    return jobs


def _job(
    place: RecipePlace,
    assets: list[dg.AssetKey],
    verb: str,
    description: str,
    run_tags: Mapping[str, str] | None = None,
) -> Any:
    return dg.define_asset_job(
        f"{place.name}_{verb}",
        selection=assets,
        description=description,
        tags={RECIPE_TAG: place.name},
        run_tags=_limits(place.project) | dict(run_tags or {}) | {RECIPE_TAG: place.name},
        executor_def=executor(place.project),
    )


def executor(project: Project) -> dg.ExecutorDefinition:
    """In process by default: a step costs 0.1 s instead of 1.5 s, and what is heavy runs in its own process anyway."""
    return (
        dg.multiprocess_executor if project.environment.dagster.executor == "multiprocess" else dg.in_process_executor
    )


def _limits(project: Project) -> dict[str, str]:
    return {MAX_RUNTIME_TAG: str(project.environment.limits.run_seconds)}
