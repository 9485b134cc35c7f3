"""A recipe's features, one partition a day: its own day's rows, and the days before it that the view looks back on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration import metadata
from mtac_assets.orchestration.dead_runs import sign
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.partition_events import NO_VALUE, Materialized, report, reported_output
from mtac_assets.orchestration.partitions import dataset_partitions, history_days, looking_back
from mtac_assets.orchestration.settings import SETTINGS

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.spec.dataset import Dataset

ALL = "all"


def features_asset(place: "RecipePlace") -> dg.AssetsDefinition:
    """Compute the requested days' features by the recipe's view; days whose inputs have not changed are kept."""
    recipe, project = place.recipe, place.project
    partitions = dataset_partitions(place.rows)

    @dg.asset(
        key=place.key("features"),
        description=f"Feature rows of `{recipe.name}`, point-in-time: a row knows only what was known when it was asked.",
        group_name=place.name,
        owners=[recipe.owner] if recipe.owner else None,
        kinds={"pandas", "parquet"},
        deps=[_dependency(place, dataset) for dataset in place.datasets],
        partitions_def=partitions,
        dagster_type=NO_VALUE,
        backfill_policy=dg.BackfillPolicy.single_run() if partitions is not None else None,
        metadata=_definition_metadata(place),
        required_resource_keys={SETTINGS},
    )
    def compute_features(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
        from mtac_assets.data.features import materialise

        sign(context)
        keys = tuple(context.partition_keys) if partitions is not None else (ALL,)
        with as_failure():
            resolved = place.resolve_for_features(getattr(context.resources, SETTINGS))
            result = materialise(project, resolved, keys)
        report(
            context,
            [
                Materialized(
                    day.key if partitions is not None else None,
                    day.digest,
                    {
                        "dagster/row_count": day.rows,
                        "state": day.status,
                        "content digest": day.digest,
                        "dagster/column_schema": metadata.schema(day.columns),
                    },
                )
                for day in result.days
            ],
        )
        yield reported_output()

    return compute_features


def _dependency(place: "RecipePlace", dataset: "Dataset") -> dg.AssetDep:
    both_daily = dataset_partitions(dataset) is not None and dataset_partitions(place.rows) is not None
    mapping = looking_back(history_days(place.recipe)) if both_daily else None
    return dg.AssetDep(dg.AssetKey([dataset.name]), partition_mapping=mapping)


def _definition_metadata(place: "RecipePlace") -> dict[str, Any]:
    features = place.recipe.features
    files = [
        place.folder / f"{name}.py" for name in sorted({features.view.split(":")[0], features.label.split(":")[0]})
    ]
    return {
        "numeric": ", ".join(features.numeric) or "none",
        "categorical": ", ".join(features.categorical) or "none",
        "label": features.label,
        "looks back": f"{history_days(place.recipe)} days",
        "dagster/code_references": metadata.code(place.folder / "recipe.yaml", *files),
    }
