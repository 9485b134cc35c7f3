"""A recipe's predictions: the champion's scores of each day, and those of the models that it is compared with on live rows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from mtac_assets.orchestration import metadata
from mtac_assets.orchestration.dead_runs import sign_first
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.partition_events import NO_VALUE, Materialized, report, reported_output
from mtac_assets.orchestration.partitions import dataset_partitions
from mtac_assets.orchestration.watched import Watched, watched_models

if TYPE_CHECKING:
    from mtac_assets.monitoring.predictions import DayScores
    from mtac_assets.orchestration.place import RecipePlace


def predictions_asset(place: "RecipePlace") -> dg.AssetsDefinition:
    """Score the requested days. Without a champion there is nothing to do, and the assets after it are skipped."""
    recipe = place.recipe

    @dg.asset(
        key=place.key("predictions"),
        description=f"Scores of `{recipe.name}` by its champion, by challengers in its shadow, and by its predecessor while it is "
        "on probation.",
        group_name=place.name,
        owners=[recipe.owner] if recipe.owner else None,
        kinds={"pytorch", "parquet"},
        deps=[place.key("features"), dg.AssetDep(place.key("champion"), partition_mapping=dg.AllPartitionMapping())],
        partitions_def=dataset_partitions(place.rows),
        dagster_type=NO_VALUE,
        output_required=False,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={"dagster/code_references": metadata.code(place.folder / "recipe.yaml")},
    )
    def score_days(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        sign_first(context, place.project)
        with as_failure():
            models = watched_models(place)
            scored = [(model, _score(context, place, model)) for model in models]
        if not models:
            context.log.info(f"{place.name} has no champion yet: nothing scores")
            return
        if not any(days for _, days in scored):
            context.log.info("the champion learned from these days: it does not score them")
            return
        report(context, _materialized(scored))
        yield reported_output()

    return score_days


def _score(context: dg.AssetExecutionContext, place: "RecipePlace", model: Watched) -> "tuple[DayScores, ...]":
    """The model's scores of the run's days, by the code that trained it."""
    from mtac_assets.monitoring.launch import score_days_apart
    from mtac_assets.promotion.own_code import own_code

    days = model.days(context.partition_keys)
    if not days:
        return ()
    with own_code(place.project, model.summary, model.resolved) as own:
        code = own if own is not place.project else None
        return score_days_apart(place.project, model.model_id, days, code=code, on_note=context.log.info)


def _materialized(scored: "list[tuple[Watched, tuple[DayScores, ...]]]") -> list[Materialized]:
    """One event a day: the champion's digest is the day's version, the others stand in a table beside it."""
    first = scored[0][0]
    found: dict[str, list[list[object]]] = {}
    for model, days in scored:
        for day in days:
            cells = [model.model_id, model.status, f"{day.rows:,}", f"{day.labelled:,}", day.status]
            found.setdefault(day.key, []).append([*cells, metadata.short(day.digest)])
    digests = {day.key: day.digest for day in reversed([day for _, days in scored for day in days])}
    rows = {day.key: day.rows for day in scored[0][1]}
    return [
        Materialized(
            key,
            digests[key],
            {
                "dagster/row_count": rows.get(key, 0),
                "Model ID": first.model_id,
                "models": metadata.table(["model", "status", "rows", "with label", "state", "digest"], cells),
            },
        )
        for key, cells in sorted(found.items())
    ]
