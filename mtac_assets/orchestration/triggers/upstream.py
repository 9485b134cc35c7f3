"""A recipe's upstream sensor: new or corrected partitions of a dataset that it uses ask for a training.

Other recipes may share the dataset, and any of its doors (arrival, a person, another recipe's line) may have brought the data
in: only what the newest model learnt from and what is there now are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.data.readers.local import WHOLE
from mtac_assets.orchestration.jobs import RECIPE_TAG, line_name
from mtac_assets.orchestration.triggers.challenger import request_challenger
from mtac_assets.orchestration.triggers.surroundings import Stillness
from mtac_assets.orchestration.triggers.tags import UPSTREAM
from mtac_assets.provenance.plan import KnownModel, known_models
from mtac_assets.provenance.stale import current
from mtac_assets.spec.load import check_recipe

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.spec.project import Project

EVERY_SECONDS = 60
NAMED = 5


def upstream_name(recipe: str) -> str:
    return f"{recipe}_upstream"


def upstream_sensor(place: RecipePlace, datasets: Sequence[str]) -> dg.SensorDefinition:
    """Look for another version of one of `datasets`; what may start, and when, is the challenger's to say."""
    project, name = place.project, place.name
    stillness = Stillness(project, datasets)

    @dg.sensor(
        name=upstream_name(name),
        job_name=line_name(name),
        minimum_interval_seconds=EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING
        if place.recipe.triggers.active
        else dg.DefaultSensorStatus.STOPPED,
        description=f"Train `{name}` when {', '.join(datasets)} has new or corrected days.",
        tags={RECIPE_TAG: name},
    )
    def look(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        states = stillness.now()
        if stillness.still(states):
            return dg.SkipReason(f"no new version of {', '.join(datasets)}")
        evidence = new_versions(project, name, datasets)
        if not evidence:
            stillness.settle(states)
            return dg.SkipReason(f"the newest model learnt from {', '.join(datasets)} as it is")
        return request_challenger(project, name, UPSTREAM, {"datasets": evidence}, instance=context.instance)

    return look


def new_versions(project: Project, recipe: str, datasets: Sequence[str]) -> dict[str, Any]:
    """By dataset what differs from the data of the recipe's newest model: training days corrected since, and days after the
    last on which it was tested."""
    from mtac_assets.data.partitions import present

    known = known_models(project, recipe)
    newest = max(known, key=lambda model: (model.as_of, model.order), default=None)
    used: Mapping[str, str] = newest.data if newest is not None else {}
    last = _last_day(project, recipe, newest) if newest is not None else ""
    now = current(project, used)
    found: dict[str, Any] = {}
    for dataset in datasets:
        mine = [name for name in used if name.startswith(f"{dataset}/")]
        corrected = [name.rpartition("/")[2] for name in mine if now.get(name, used[name]) != used[name]]
        there = present(project.state.data, dataset, project.state.cache)
        newer = sorted(key for key in there if key > last and (key != WHOLE or newest is None))
        if corrected or newer:
            found[dataset] = {"corrected": _few(corrected), "new": _few(newer)}
    return found


def _last_day(project: Project, recipe: str, model: KnownModel) -> str:
    """The last day that the model's line read; for a recipe without time the one key."""
    window = check_recipe(project, recipe).window
    if window is None or not model.as_of:
        return WHOLE
    return (date.fromisoformat(model.as_of) + timedelta(days=window.test_days - 1)).isoformat()


def _few(keys: Sequence[str]) -> dict[str, Any]:
    return {"days": len(keys), "first": list(keys[:NAMED])}
