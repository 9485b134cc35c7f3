"""A recipe's schedule: at the times that its cron names, ask for the newest model, if anything changed since the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from mtac_assets.orchestration.jobs import RECIPE_TAG
from mtac_assets.orchestration.triggers.challenger import request_challenger
from mtac_assets.orchestration.triggers.tags import SCHEDULE

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.spec.recipe import CronSchedule


def schedule_name(recipe: str) -> str:
    return f"{recipe}_schedule"


def train_schedule(place: RecipePlace, cron: CronSchedule, job: dg.JobDefinition) -> dg.ScheduleDefinition:
    """Request the line of the newest as-of date, or skip and say why: above all, that the fingerprint did not change."""

    def newest(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        evidence = {"cron": cron.cron, "timezone": cron.timezone, "tick": context.scheduled_execution_time.isoformat()}
        return request_challenger(place.project, place.name, SCHEDULE, evidence, instance=context.instance)

    return dg.ScheduleDefinition(
        name=schedule_name(place.name),
        job=job,
        cron_schedule=cron.cron,
        execution_timezone=cron.timezone,
        execution_fn=newest,
        description=f"Train `{place.name}` for the latest as-of date, unless nothing changed.",
        tags={RECIPE_TAG: place.name},
        default_status=dg.DefaultScheduleStatus.RUNNING
        if place.recipe.triggers.active
        else dg.DefaultScheduleStatus.STOPPED,
    )
