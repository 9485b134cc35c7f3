"""What follows on new days of a recipe's datasets: their features are computed, and models that learnt from corrected days are
marked as stale. It trains nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mtac_assets.orchestration.jobs import RECIPE_TAG, features_name
from mtac_assets.orchestration.triggers.challenger import load_any
from mtac_assets.orchestration.triggers.sources import datasets_of
from mtac_assets.orchestration.triggers.surroundings import Stillness
from mtac_assets.orchestration.triggers.tags import ARRIVAL
from mtac_assets.orchestration.triggers.work import NAMED, held_words, recipe_work
from mtac_assets.provenance.digest import digest_json

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.provenance.stale import Stale
    from mtac_assets.spec.resolved import ResolvedRecipe

EVERY_SECONDS = 10
SCHEMA_VERSION = 1
STALE = "stale"


def follow_up_name(recipe: str) -> str:
    return f"{recipe}_follow_up"


def follow_up_sensor(place: RecipePlace) -> dg.SensorDefinition:
    """Keep the recipe's features in step with its data, and say which models are not."""
    project, name = place.project, place.name
    stillness = Stillness(project, datasets_of(place.recipe))

    @dg.sensor(
        name=follow_up_name(name),
        job_name=features_name(name),
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING
        if place.recipe.triggers.active
        else dg.DefaultSensorStatus.STOPPED,
        description=f"Compute the features of `{name}` for new and corrected days; mark models that learnt from others.",
        tags={RECIPE_TAG: name},
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from mtac_assets.provenance.stale import stale_models

        states = stillness.now()
        if stillness.still(states):
            return dg.SkipReason("no new data")
        wanted = stale_features(place)
        work = recipe_work(
            place, context.instance, "features", features_name(name), wanted,
            trigger=ARRIVAL, partitioned=place.rows.partitions.kind == "daily",
        )  # fmt: skip
        told: dict[str, str] = _told(context.cursor)
        stale = stale_models(project, name)
        digests = {each.model_id: digest_json(list(each.corrected))[:12] for each in stale}
        news = [each for each in stale if told.get(each.model_id) != digests[each.model_id]]
        if not wanted:
            stillness.settle(states)
        said = held_words("features", work)
        return dg.SensorResult(
            run_requests=list(work.requests),
            skip_reason=None if work.requests else dg.SkipReason(said or "features are in step with the data"),
            asset_events=[_marked(place, each) for each in news],
            cursor=json.dumps({"schema_version": SCHEMA_VERSION, "told": digests}) if digests != told else None,
        )

    return look


def stale_features(place: RecipePlace) -> Mapping[str, str]:
    """Day to the key that its features should have, for every day whose data is there and whose features are not, or are of
    other data, code or columns."""
    return feature_states(place)[1]


def feature_states(place: RecipePlace) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Days whose features are in step with the data, and those of `stale_features`. A day that looks back on a missing one is
    neither: it waits for that."""
    from mtac_assets.provenance.keys import Lookback, features_digest

    project, resolved = place.project, load_any(place.project, place.name)
    folder = project.state.features / place.name
    stillness = Stillness(project, datasets_of(place.recipe))
    stillness.also([folder])
    # Two sensors ask, each at least twice a day: what decides the features is asked anew each time, every day's files once.
    moment = stillness.now()
    question = (features_digest(project, resolved), Lookback.of(project, resolved), moment)
    known = _answers.get(folder)
    if moment is not None and known is not None and known[0] == question:
        return known[1]
    answer = _feature_states(place, resolved, folder)
    _answers[folder] = (question, answer)
    return answer


_States = tuple[tuple[str, ...], Mapping[str, str]]
_answers: dict[Path, tuple[object, _States]] = {}  # of this process: the last one of each recipe


def _feature_states(place: RecipePlace, resolved: ResolvedRecipe, folder: Path) -> _States:
    from mtac_assets.data.partitions import present
    from mtac_assets.provenance.document import known_object
    from mtac_assets.provenance.keys import feature_keys

    project = place.project
    days = sorted(present(project.state.data, place.rows.name, project.state.cache))
    ready: list[str] = []
    wanted: dict[str, str] = {}
    for day, key in feature_keys(project, resolved, days).items():
        stored = known_object(folder / f"{day}.json")
        if stored is not None and stored.get("key") == key:
            ready.append(day)
        else:
            wanted[day] = key[:12]
    return tuple(ready), wanted


def _marked(place: RecipePlace, stale: Stale) -> dg.AssetObservation:
    """The model's partition, observed as stale: shown beside its materialisation."""
    more = f" and {len(stale.corrected) - NAMED} more" if len(stale.corrected) > NAMED else ""
    return dg.AssetObservation(
        asset_key=place.key("model"),
        partition=stale.as_of or None,
        description=f"{stale.model_id} learnt from days that were corrected since",
        metadata={
            STALE: True,
            "Model ID": stale.model_id,
            "corrected": ", ".join(stale.corrected[:NAMED]) + more,
            "corrected partitions": len(stale.corrected),
            "remedy": "`mtac plan` says what a training would change; the model itself stays as it is",
        },
    )


def _told(cursor: str | None) -> dict[str, str]:
    document = json.loads(cursor) if cursor else {}
    return document["told"] if document.get("schema_version") == SCHEMA_VERSION else {}
