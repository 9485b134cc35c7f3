"""A recipe's training set: the exact rows that one as-of date's model learns from, as memory-mapped arrays."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration import metadata
from mtac_assets.orchestration.dead_runs import sign_first
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.partitions import as_of_partitions, training_days
from mtac_assets.orchestration.settings import SETTINGS

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace


def training_set_asset(place: "RecipePlace") -> dg.AssetsDefinition:
    """Gather the window's feature rows; the same window of the same content is the same folder."""
    recipe, window = place.recipe, place.recipe.window

    @dg.asset(
        key=place.key("training_set"),
        description=f"The exact rows that `{recipe.name}` learns from, in memory-mapped arrays, named by content.",
        group_name=place.name,
        owners=[recipe.owner] if recipe.owner else None,
        kinds={"numpy"},
        deps=[dg.AssetDep(place.key("features"), partition_mapping=training_days(window) if window else None)],
        partitions_def=as_of_partitions(window, place.rows) if window else None,
        metadata=_definition_metadata(place),
        required_resource_keys={SETTINGS},
    )
    def build_training_set(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from mtac_assets.data.training_set import build

        sign_first(context, place.project)
        with as_failure():
            resolved = place.resolve(getattr(context.resources, SETTINGS), as_of(context))
            built = build(place.project, resolved)
        manifest = built.manifest
        splits = manifest["splits"]
        rows = [
            [
                name,
                f"{split['rows']:,}",
                f"{split['excluded_unlabelled']:,}",
                days(split["days"]),
                metadata.short(split["digest"]),
            ]
            for name, split in splits.items()
        ]
        columns = stored_columns(manifest)
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": sum(split["rows"] for split in splits.values()),
                "splits": metadata.table(["split", "rows", "without label", "days", "digest"], rows),
                "content digest": manifest["digest"],
                "vocabularies": metadata.table(
                    ["category", "values"],
                    [[column["name"], len(column["vocabulary"])] for column in manifest["categorical"]],
                ),
                "folder": metadata.file_link(built.folder),
                "dagster/column_schema": metadata.schema(columns),
                "dagster/column_lineage": metadata.same_columns(place.key("features"), (name for name, _ in columns)),
            },
            data_version=dg.DataVersion(manifest["digest"]),
        )

    return build_training_set


def stored_columns(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and type of each column of the arrays; each is the features' column of that name, categories as codes."""
    return [
        *((name, "float32") for name in manifest["numeric"]),
        *((column["name"], "int32") for column in manifest["categorical"]),
        ("label", "float32"),
        ("day", "int32"),
    ]


def as_of(context: dg.AssetExecutionContext) -> str | None:
    """The run's as-of date; None for a recipe without time."""
    return context.partition_key if context.has_partition_key else None


def days(keys: list[str]) -> str:
    """A span of days, as `2013-02-04 … 2013-03-31 (56)`."""
    return f"{keys[0]} … {keys[-1]} ({len(keys)})" if len(keys) > 1 else "".join(keys)


def _definition_metadata(place: "RecipePlace") -> dict[str, Any]:
    window = place.recipe.window
    shown = {"dagster/code_references": metadata.code(place.folder / "recipe.yaml")}
    if window is None:
        return shown
    learned = window.train_days - window.validate_days
    return {
        "window": f"{learned} days to learn from, then {window.validate_days} to validate, up to the as-of date",
        **shown,
    }
