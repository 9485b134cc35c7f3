"""Schedules: the recipe's cron trigger asks for the model of the latest as-of date. A schedule starts stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.partitions.context import partition_loading_context

from mtac_assets.orchestration.jobs import RECIPE_TAG
from mtac_assets.orchestration.partitions import as_of_partitions

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.spec.recipe import CronSchedule

TRIGGER_TAG = "mtac/trigger"


def schedule_name(recipe: str) -> str:
    return f"{recipe}_schedule"


def train_schedule(place: RecipePlace, cron: CronSchedule, job: Any) -> dg.ScheduleDefinition:
    """Request the latest as-of date at each tick; for a recipe without time, the one model there is."""
    window = place.recipe.window
    partitions = as_of_partitions(window, place.rows) if window is not None else None

    def latest(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        tags = {RECIPE_TAG: place.name, TRIGGER_TAG: "schedule"}
        if partitions is None:
            return dg.RunRequest(tags=tags)
        with partition_loading_context(effective_dt=context.scheduled_execution_time):
            key = partitions.get_last_partition_key()
        if key is None:
            return dg.SkipReason(f"no as-of date of {place.name} has enough days before it and after it yet")
        return dg.RunRequest(partition_key=key, tags=tags)

    return dg.ScheduleDefinition(
        name=schedule_name(place.name),
        job=job,
        cron_schedule=cron.cron,
        execution_timezone=cron.timezone,
        execution_fn=latest,
        description=f"Train `{place.name}` for the latest as-of date.",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
