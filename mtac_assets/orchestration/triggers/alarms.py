"""A recipe's alarms: an ALARM of drift or performance tells the webhooks once and asks for a challenger. It promotes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration.assets import drift, performance
from mtac_assets.orchestration.jobs import RECIPE_TAG, line_name
from mtac_assets.orchestration.triggers.challenger import request_challenger
from mtac_assets.orchestration.triggers.tags import DRIFT, PERFORMANCE

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace

EVERY_SECONDS = 30
SCHEMA_VERSION = 2  # of the cursor; 1 held the evidence, which changes with each day of one alarm


def alarm_name(recipe: str) -> str:
    return f"{recipe}_alarm"


def alarm_sensor(place: RecipePlace) -> dg.SensorDefinition:
    """Look at the newest verdicts on the present champion; what may start, and when, is the challenger's to say."""
    project, name = place.project, place.name

    @dg.sensor(
        name=alarm_name(name),
        job_name=line_name(name),
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING
        if place.recipe.triggers.active
        else dg.DefaultSensorStatus.STOPPED,
        description=f"Train a challenger of `{name}` when its champion's inputs drift or its live loss is worse.",
        tags={RECIPE_TAG: name},
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from mtac_assets.monitoring.webhook import notify
        from mtac_assets.provenance import ledger

        # The ledger's word suffices: opening the model's pack at each look would cost far more than the look.
        serving = ledger.champion_at(project, project.environment.name, name)
        if serving is None or serving.model_id is None:
            return dg.SkipReason(f"{name} has no champion yet")
        alarms = {
            kind: evidence
            for kind, evidence in verdicts(context.instance, place).items()
            if evidence["state"] == "ALARM" and evidence["model_id"] == serving.model_id
        }
        told = _told(context.cursor)
        now = {kind: [evidence["model_id"], evidence["since"]] for kind, evidence in alarms.items()}
        cursor = json.dumps({"schema_version": SCHEMA_VERSION, "told": {**told, **now}}) if alarms else None
        for kind, evidence in alarms.items():
            if told.get(kind) != now[kind]:
                for finding in notify(project, "alarm", {"recipe": name, "alarm": kind, **evidence}):
                    context.log.warning(str(finding))
        if not alarms:
            return dg.SensorResult(skip_reason=dg.SkipReason("no alarm on the present champion"), cursor=cursor)
        kind = next(iter(alarms))
        asked = request_challenger(project, name, kind, {"alarms": alarms}, instance=context.instance)
        if isinstance(asked, dg.SkipReason):
            return dg.SensorResult(skip_reason=asked, cursor=cursor)
        return dg.SensorResult(run_requests=[asked], cursor=cursor)

    return look


def verdicts(instance: dg.DagsterInstance, place: RecipePlace) -> dict[str, dict[str, Any]]:
    """The newest verdict of each kind that the recipe asks for: state, Model ID, what it says, and `since` when it alarms: one
    alarm keeps that, however many days it lasts; the next one has another."""
    triggers = place.recipe.triggers
    wanted = {
        DRIFT: (triggers.drift, dg.AssetCheckKey(place.key("drift"), drift.ALARM_CHECK)),
        PERFORMANCE: (triggers.performance, dg.AssetCheckKey(place.key("performance"), performance.ALARM_CHECK)),
    }
    found: dict[str, dict[str, Any]] = {}
    for kind, (trigger, key) in wanted.items():
        metadata = _newest(instance, key) if trigger is not None else None
        if metadata is not None:
            found[kind] = {
                "state": metadata["state"].value,
                "model_id": metadata["Model ID"].value,
                "last_day": metadata["last day"].value,
                # Evaluations of earlier versions do not say it: each day of theirs is an alarm of its own.
                "since": metadata.get("since", metadata["last day"]).value,
                "says": metadata["says"].value,
            }
    return found


def _newest(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> Mapping[str, Any] | None:
    """Metadata of the newest finished evaluation of a check."""
    for record in instance.event_log_storage.get_asset_check_execution_history(key, limit=5):
        event = record.event.dagster_event if record.event is not None else None
        if event is not None and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            return event.asset_check_evaluation_data.metadata
    return None


def _told(cursor: str | None) -> dict[str, Any]:
    document = json.loads(cursor) if cursor else {}
    return document["told"] if document.get("schema_version") == SCHEMA_VERSION else {}
