"""The component of a recipe: what its `defs.yaml` names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from mtac_assets.orchestration.assets.champion import champion_asset
from mtac_assets.orchestration.assets.drift import drift_asset
from mtac_assets.orchestration.assets.features import features_asset
from mtac_assets.orchestration.assets.model import model_asset
from mtac_assets.orchestration.assets.performance import performance_asset
from mtac_assets.orchestration.assets.predictions import predictions_asset
from mtac_assets.orchestration.assets.preflight import preflight_check
from mtac_assets.orchestration.assets.report import report_asset
from mtac_assets.orchestration.assets.reproduction import reproduction_asset
from mtac_assets.orchestration.assets.texts import scores_asset, tokenizer_asset, tokens_asset
from mtac_assets.orchestration.assets.training_set import training_set_asset
from mtac_assets.orchestration.jobs import features_job, promote_job, reproduce_job, train_job, watch_jobs
from mtac_assets.orchestration.place import RecipePlace, recipe_place
from mtac_assets.orchestration.rollback import rollback_job
from mtac_assets.orchestration.scaffold import RecipeScaffolder
from mtac_assets.orchestration.triggers.alarms import alarm_sensor
from mtac_assets.orchestration.triggers.follow_up import follow_up_sensor
from mtac_assets.orchestration.triggers.line_job import line_job
from mtac_assets.orchestration.triggers.schedule import train_schedule
from mtac_assets.orchestration.triggers.upstream import upstream_sensor
from mtac_assets.orchestration.triggers.watching import watch_sensor
from mtac_assets.spec.shapes import datasets_of


def prepared_assets(place: RecipePlace) -> list[dg.AssetsDefinition]:
    """What is made of the datasets before a model is trained."""
    if place.is_language:
        return [scores_asset(place), tokenizer_asset(place), tokens_asset(place)]
    return [features_asset(place), training_set_asset(place)]


def watch_assets(place: RecipePlace) -> list[dg.AssetsDefinition]:
    """What looks at live days. A recipe without time has none."""
    triggers = place.recipe.triggers
    if place.recipe.window is None:
        return []
    return [
        predictions_asset(place),
        *([drift_asset(place, triggers.drift)] if triggers.drift is not None else []),
        *([performance_asset(place, triggers.performance)] if triggers.performance is not None else []),
    ]


@dg.scaffold_with(RecipeScaffolder)
class TrainingRecipe(dg.Component, dg.Model, dg.Resolvable):
    """One model's line: features, training set, model, report, reproduction, champion. Reads the `recipe.yaml` beside its `defs.yaml`.

    It takes no attributes: a value from the surroundings would be an input that nobody pinned.
    """

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        return dg.ComponentTypeSpec(
            description="One model's line, from features to the champion. Written in recipe.yaml.",
            tags=["mtac", "model"],
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        place = recipe_place(Path(context.path))
        line = line_job(place)
        watching = watch_jobs(place)
        cron = place.recipe.triggers.schedule
        return dg.Definitions(
            assets=[
                *prepared_assets(place),
                model_asset(place),
                report_asset(place),
                reproduction_asset(place),
                champion_asset(place),
                *watch_assets(place),
            ],
            asset_checks=[preflight_check(place)] if place.is_language else [],
            jobs=[
                *([] if place.is_language else [features_job(place)]),
                train_job(place),
                line,
                reproduce_job(place),
                promote_job(place),
                rollback_job(place),
                *watching,
            ],
            schedules=[train_schedule(place, cron, line)] if cron is not None else [],
            sensors=list(_sensors(place, watching)),
        )


def _sensors(place: RecipePlace, watching: Sequence[Any]) -> Iterator[dg.SensorDefinition]:
    upstream = place.recipe.triggers.upstream
    if upstream:
        yield upstream_sensor(place, datasets_of(place.recipe) if upstream is True else upstream)
    if not place.is_language and any(dataset.arrival is not None for dataset in place.datasets):
        yield follow_up_sensor(place)
    if place.recipe.window is not None:
        yield watch_sensor(place, watching)
    if place.recipe.triggers.drift is not None or place.recipe.triggers.performance is not None:
        yield alarm_sensor(place)
