"""What is made of texts before a language model is trained: scores, the tokeniser, and the training set with its mix."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration import metadata
from mtac_assets.orchestration.errors import FINDINGS, as_failure
from mtac_assets.orchestration.settings import SETTINGS

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.provenance.keys import LanguageKeys
    from mtac_assets.spec.resolved import ResolvedRecipe


def scores_asset(place: "RecipePlace") -> dg.AssetsDefinition:
    """Score every text of the recipe's datasets; a table with the same scorer and texts is kept."""

    @dg.asset(
        key=place.key("scores"),
        description="Length, repetition, compression, language and near-duplicates of every text, which filters go by.",
        kinds={"parquet"},
        deps=[dg.AssetKey([dataset.name]) for dataset in place.datasets],
        group_name=place.name,
        owners=[place.recipe.owner] if place.recipe.owner else None,
        metadata=_definition_metadata(place),
        required_resource_keys={SETTINGS},
    )
    def score_texts(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from mtac_assets.data.mix.build import score

        with as_failure():
            resolved, keys = _resolve(context, place)
            tables = score(place.project, resolved, keys, place.project.state.data)
        rows = [[name, f"{table.rows:,}", metadata.short(table.digest)] for name, table in tables.items()]
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": sum(table.rows for table in tables.values()),
                "scores": metadata.table(["dataset", "texts", "digest"], rows),
                "folder": metadata.file_link(place.project.state.scores),
            },
            data_version=dg.DataVersion("-".join(metadata.short(table.digest) for table in tables.values())),
        )

    return score_texts


def tokenizer_asset(place: "RecipePlace") -> dg.AssetsDefinition:
    """Train the tokeniser on the training documents of its sources, unless one of the same key is there."""

    @dg.asset(
        key=place.key("tokenizer"),
        description="Byte-level byte-pair encoding, learnt from the training documents alone.",
        kinds={"json"},
        deps=[place.key("scores")],
        group_name=place.name,
        owners=[place.recipe.owner] if place.recipe.owner else None,
        metadata=_definition_metadata(place),
        required_resource_keys={SETTINGS},
    )
    def train_tokenizer(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from mtac_assets.data.mix.build import prepare
        from mtac_assets.data.mix.trained import tokenizer_folder

        with as_failure():
            resolved, keys = _resolve(context, place)
            prepared = prepare(place.project, resolved, keys, place.project.state.data)
        assert keys.tokenizer is not None, "prepare has read every text"
        return dg.MaterializeResult(
            metadata={
                "vocabulary": prepared.tokenizer.vocabulary_size,
                "digest": prepared.tokenizer.digest,
                "trained on": ", ".join(resolved.language.tokenizer.trained_on),
                "folder": metadata.file_link(tokenizer_folder(place.project, keys.tokenizer)),
            },
            data_version=dg.DataVersion(prepared.tokenizer.digest),
        )

    return train_tokenizer


def tokens_asset(place: "RecipePlace") -> dg.AssetsDefinition:
    """Filter, part, tokenise and pack; the mix as a tree and a picture; near-duplicates and shares as checks."""
    from mtac_assets.data.mix.gates import RULES

    @dg.asset(
        key=place.key("training_set"),
        description=f"The exact tokens that `{place.name}` learns from, source by source, in memory-mapped arrays.",
        kinds={"numpy"},
        deps=[place.key("scores"), place.key("tokenizer")],
        check_specs=[
            dg.AssetCheckSpec(name, asset=place.key("training_set"), blocking=True, description=description)
            for name, description in RULES.items()
        ],
        group_name=place.name,
        owners=[place.recipe.owner] if place.recipe.owner else None,
        metadata=_definition_metadata(place),
        required_resource_keys={SETTINGS},
    )
    def build_tokens(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from mtac_assets.data.mix.gates import judge
        from mtac_assets.data.mix.tree import lines, picture
        from mtac_assets.data.training_set import build

        with as_failure():
            resolved, _ = _resolve(context, place)
            built = build(place.project, resolved)
        manifest = built.manifest
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": sum(entry["rows"] for entry in manifest["sources"]),
                "tokens": sum(entry["tokens"] for entry in manifest["sources"]),
                "mix": dg.MetadataValue.md("```\n" + "\n".join(lines(manifest)) + "\n```"),
                "shares": metadata.image("mix", picture(manifest)),
                "content digest": manifest["digest"],
                "folder": metadata.file_link(built.folder),
            },
            data_version=dg.DataVersion(manifest["digest"]),
        )
        for verdict in judge(manifest, resolved.language.gates):
            shown: dict[str, Any] = {"evidence": dg.MetadataValue.json(verdict.evidence)}
            if not verdict.passed:
                shown[FINDINGS] = dg.MetadataValue.json([verdict.finding.document()])
            yield dg.AssetCheckResult(check_name=verdict.name, passed=verdict.passed, metadata=shown)

    return build_tokens


def _resolve(context: dg.AssetExecutionContext, place: "RecipePlace") -> "tuple[ResolvedRecipe, LanguageKeys]":
    from mtac_assets.provenance.keys import language_keys

    resolved = place.resolve(getattr(context.resources, SETTINGS), None)
    return resolved, language_keys(place.project, resolved)


def _definition_metadata(place: "RecipePlace") -> dict[str, Any]:
    return {"dagster/code_references": metadata.code(place.folder / "recipe.yaml")}
