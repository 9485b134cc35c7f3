"""What follows on new days of a recipe with a champion: they are scored and judged for drift, and when live scores have
changed, the champion's performance is judged anew. It trains nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration.jobs import RECIPE_TAG, performance_name, watch_name
from mtac_assets.orchestration.triggers.attempts import Patience, attempts
from mtac_assets.orchestration.triggers.follow_up import stale_features
from mtac_assets.orchestration.triggers.tags import TRIGGER_TAG, WATCH, request_tags
from mtac_assets.orchestration.triggers.work import Work, requested
from mtac_assets.orchestration.watched import Watched, watched_models
from mtac_assets.provenance.digest import digest_json

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace

EVERY_SECONDS = 15
NAMED = 5


def watch_sensor(place: RecipePlace, jobs: Sequence[Any]) -> dg.SensorDefinition:
    """Keep the champion's scores, and what is judged by them, in step with the features."""
    name = place.name

    @dg.sensor(
        name=watch_name(name),
        jobs=jobs,
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING
        if place.recipe.triggers.active
        else dg.DefaultSensorStatus.STOPPED,
        description=f"Score new days with the champion of `{name}`, judge drift, and performance once labels arrive.",
        tags={RECIPE_TAG: name},
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        models = watched_models(place, shadow=place.recipe.triggers.shadow is not None)
        if not models:
            return dg.SkipReason(f"{name} has no champion yet")
        wanted = unscored_days(place, models)
        work = _work(context.instance, place, wanted) if wanted else Work((), {})
        requests = [*work.requests, *([] if wanted else _judge_performance(place, models[0]))]
        said = "; ".join(f"scores of {key}: {hold.reason}" for key, hold in list(work.held.items())[:NAMED])
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(said or "scores are in step with the features"),
        )

    return look


def unscored_days(place: RecipePlace, models: Sequence[Watched]) -> dict[str, str]:
    """Day to what its scores should be made from: days whose features are up to date, and of which a model's scores are
    missing or of other rows. A day is asked for by the content of all partitions that its features look at."""
    from mtac_assets.data.features_plan import day_inputs
    from mtac_assets.data.partitions import present
    from mtac_assets.monitoring import stored_predictions as stored

    project = place.project
    waiting = stale_features(place)
    days = [day for day in present(project.state.data, place.rows.name, project.state.cache) if day not in waiting]
    found: dict[str, str] = {}
    for model in models:
        folder = stored.folder_of(project, place.name, model.model_id)
        live = model.days(days)
        for day, inputs in day_inputs(project, model.resolved, live).items():
            manifest = stored.PredictionManifest.read(stored.manifest_path(folder, day))
            if manifest is None or dict(manifest.inputs) != inputs:
                found[day] = digest_json([found.get(day, ""), model.model_id, inputs])[:12]
    return found


def _work(instance: dg.DagsterInstance, place: RecipePlace, wanted: Mapping[str, str]) -> Work:
    backoff = place.recipe.triggers.backoff
    name = place.name

    def evidence(keys: Sequence[str]) -> dict[str, Any]:
        return {"recipe": name, "partitions": len(keys), "first": keys[0], "last": keys[-1]}

    return requested(
        f"{name}/watch",
        watch_name(name),
        wanted,
        attempts(place.project, instance, watch_name(name), {TRIGGER_TAG: WATCH}),
        Patience(backoff.attempts, timedelta(minutes=backoff.first_minutes)),
        trigger=WATCH,
        evidence=evidence,
        tags={RECIPE_TAG: name},
        partitioned=True,
    )


def _judge_performance(place: RecipePlace, champion: Watched) -> list[dg.RunRequest]:
    """One run for each state of the champion's live scores: Dagster starts no run key twice."""
    from mtac_assets.monitoring import stored_predictions as stored
    from mtac_assets.monitoring.live_days import live_days

    if place.recipe.triggers.performance is None:
        return []
    project = place.project
    folder = stored.folder_of(project, place.name, champion.model_id)
    days = live_days(champion.resolved, stored.scored_days(project, place.name, champion.model_id))
    manifests = [stored.PredictionManifest.read(stored.manifest_path(folder, day)) for day in days]
    labelled = {manifest.day: manifest.content_digest for manifest in manifests if manifest and manifest.labelled}
    if not labelled:
        return []
    evidence = {"recipe": place.name, "model_id": champion.model_id, "days": len(labelled), "last": max(labelled)}
    reason = f"{len(labelled)} live days with labels, the last {max(labelled)}"
    return [
        dg.RunRequest(
            run_key=f"{place.name}/performance:{champion.model_id}:{digest_json(labelled)[:12]}",
            job_name=performance_name(place.name),
            tags={RECIPE_TAG: place.name, **request_tags(WATCH, evidence=evidence, reason=reason)},
        )
    ]
