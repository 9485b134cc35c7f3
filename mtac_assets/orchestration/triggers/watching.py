"""What follows on new days of a recipe with a champion: they are scored and judged for drift; when live scores have changed, the
champion's performance is judged anew, and where a shadow or a look is due, it is decided. It trains nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration.assets.drift import window_of
from mtac_assets.orchestration.assets.model import MODEL_ID_TAG
from mtac_assets.orchestration.jobs import RECIPE_TAG, live_decisions_name, performance_name, watch_name
from mtac_assets.orchestration.partition_events import DATA_VERSION_TAG
from mtac_assets.orchestration.triggers.follow_up import feature_states
from mtac_assets.orchestration.triggers.reported import unreported
from mtac_assets.orchestration.triggers.sources import datasets_of
from mtac_assets.orchestration.triggers.surroundings import Stillness
from mtac_assets.orchestration.triggers.tags import WATCH, request_tags
from mtac_assets.orchestration.triggers.work import Work, held_words, recipe_work
from mtac_assets.orchestration.watched import CHAMPION, Watched, watched_models
from mtac_assets.provenance import ledger
from mtac_assets.provenance.digest import digest_json

if TYPE_CHECKING:
    from pathlib import Path

    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.promotion.live import Due
    from mtac_assets.spec.recipe import Rollback

EVERY_SECONDS = 15
SCHEMA_VERSION = 1  # of the cursor
LIVE = "live rows"


def watch_sensor(place: RecipePlace, jobs: Sequence[Any]) -> dg.SensorDefinition:
    """Keep the champion's scores, and what is judged by them, in step with the features."""
    project, name = place.project, place.name
    stillness = Stillness(
        project, datasets_of(place.recipe), mark=lambda: ledger.head(project, project.environment.name)
    )

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
        moment = stillness.now()
        if stillness.still(moment):
            return dg.SkipReason(
                "scores and verdicts are in step: no data, feature, score or decision since the last look"
            )
        models = watched_models(place)
        stillness.also(_folders(place, models))
        if not models:
            stillness.settle(moment)
            return dg.SkipReason(f"{name} has no champion yet")
        ready, waiting = feature_states(place)
        wanted = unscored_days(place, models, ready)
        scoring = recipe_work(
            place, context.instance, "watch", watch_name(name), wanted, trigger=WATCH, partitioned=True
        )
        requests, said = [*scoring.requests], held_words("scores", scoring)
        cursor, told = None, _followed(context.instance, place, models[0])
        if not wanted:
            deciding = _decide(place, context.instance, waiting)
            judging = _judge_performance(place, models[0])
            requests += [*deciding.requests, *judging]
            said = held_words("decisions", deciding)
            # Dagster keeps the cursor after it has started what the tick asked for: only then is it done.
            cursor = json.dumps({"schema_version": SCHEMA_VERSION, "judged": [each.run_key for each in judging]})
            if cursor == context.cursor and not (deciding.requests or deciding.held or told):
                stillness.settle(moment)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=None if requests else dg.SkipReason(said or "scores are in step with the features"),
            asset_events=told,
            cursor=cursor if cursor != context.cursor else None,
        )

    return look


def _folders(place: RecipePlace, models: Sequence[Watched]) -> list[Path]:
    """Where what this sensor compares lies, beside the datasets: features, and each model's scores and verdicts."""
    from mtac_assets.monitoring import stored_predictions as stored
    from mtac_assets.monitoring.drift import store

    project = place.project
    of_models = [
        folder(project, place.name, model.model_id) for model in models for folder in (stored.folder_of, store.folder)
    ]
    return [project.state.features / place.name, *of_models]


def unscored_days(place: RecipePlace, models: Sequence[Watched], ready: Sequence[str]) -> dict[str, str]:
    """Day to what its scores should be made from: those of `ready` (their features are in step) of which a model's scores are
    missing or of other rows, or the verdict on drift. A day is asked for by the content of all partitions that its features look at."""
    from mtac_assets.monitoring import stored_predictions as stored
    from mtac_assets.provenance.keys import day_inputs

    project = place.project
    found: dict[str, str] = {}
    for model in models:
        folder = stored.folder_of(project, place.name, model.model_id)
        live = model.days(ready)
        for day, inputs in day_inputs(project, model.resolved, live).items():
            manifest = stored.PredictionManifest.read(stored.manifest_path(folder, day))
            if manifest is None or dict(manifest.inputs) != inputs:
                found[day] = digest_json([found.get(day, ""), model.model_id, inputs])[:12]
    for day in _unjudged_days(place, models[0], ready):
        found.setdefault(day, digest_json(["drift", models[0].model_id])[:12])
    return found


def _unjudged_days(place: RecipePlace, serving: Watched, ready: Sequence[str]) -> list[str]:
    """Days whose window is whole and has no verdict on drift: the run was killed after it had scored them, or a day of the
    window came later than the others."""
    from mtac_assets.monitoring.drift import store

    drift = place.recipe.triggers.drift
    if drift is None:
        return []
    folder = store.folder(place.project, place.name, serving.model_id)
    live = set(serving.days(ready))
    return [
        day
        for day in sorted(live)
        if not (folder / f"{day}.json").is_file() and live.issuperset(window_of(day, drift.window_days))
    ]


def _followed(instance: dg.DagsterInstance, place: RecipePlace, serving: Watched) -> list[dg.AssetMaterialization]:
    """Where the ledger has another champion than Dagster was told of last (by live rows, or from the command line): it is told."""
    key = place.key("champion")
    if not unreported(instance, key, {CHAMPION: serving.model_id}, partitioned=False):
        return []
    entry = ledger.champion_at(place.project, place.project.environment.name, place.name)
    if entry is None or entry.model_id != serving.model_id:
        return []  # it changed within this tick: the next one tells
    metadata = {"Model ID": serving.model_id, "by": entry.actor, "reason": entry.reason, "ledger entry": entry.sequence}
    tags = {DATA_VERSION_TAG: serving.model_id, MODEL_ID_TAG: serving.model_id}
    return [dg.AssetMaterialization(key, partition=serving.summary.as_of, metadata=metadata, tags=tags)]


def _decide(place: RecipePlace, instance: dg.DagsterInstance, waiting: Mapping[str, str]) -> Work:
    """One run where a shadow or a look is due; the ledger says what was decided, so none is decided twice."""
    from mtac_assets.promotion.approved import approved_gates
    from mtac_assets.promotion.live import due

    def ready(rollback: Rollback | None) -> list[Due]:
        found = due(place.project, place.name, rollback)
        return [each for each in found if not waiting.keys() & set(each.days)]

    found = ready(place.recipe.triggers.rollback)
    if any(each.what == "rollback" for each in found):  # the approved branch decides, not what was loaded here
        found = ready(approved_gates(place.project, place.name).rollback)
    wanted = {LIVE: digest_json([each.document() for each in found])[:12]} if found else {}
    job = live_decisions_name(place.name)
    return recipe_work(place, instance, "live_decisions", job, wanted, trigger=WATCH, partitioned=False)


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
