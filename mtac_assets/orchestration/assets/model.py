"""A recipe's model of one as-of date: trained in a process of its own, kept as a pack under its Model ID."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration import curve, metadata
from mtac_assets.orchestration.assets.preflight import passed_in
from mtac_assets.orchestration.assets.training_set import as_of
from mtac_assets.orchestration.child import pipes_environment, retried_where_killed
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.jobs import TRAINING_POOL
from mtac_assets.orchestration.partitions import as_of_partitions
from mtac_assets.orchestration.resources.mlflow import MlflowTracking
from mtac_assets.orchestration.resources.mlflow import metadata as mlflow_metadata
from mtac_assets.orchestration.settings import MLFLOW, SETTINGS
from mtac_assets.provenance.files import publish_folder, read_json
from mtac_assets.provenance.intact import PACK_LIST, listed_files, pack_problems
from mtac_assets.spec.errors import CheckFailed, Finding

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.orchestration.settings import RunSettings
    from mtac_assets.provenance.identity import Declaration
    from mtac_assets.spec.resolved import ResolvedRecipe

INTACT_CHECK = "intact"
MODEL_ID_TAG = "mtac/model_id"


def model_asset(place: "RecipePlace") -> dg.AssetsDefinition:
    """Train, unless an intact pack of the same fingerprint is there; record it in MLflow; check every digest."""
    recipe, window = place.recipe, place.recipe.window

    @dg.asset(
        key=place.key("model"),
        description=f"{recipe.description}\n\nWeights, schema and provenance of one model, named by what decided its weights.",
        group_name=place.name,
        owners=[recipe.owner] if recipe.owner else None,
        kinds={"pytorch", "mlflow"},
        deps=[place.key("training_set")],
        partitions_def=as_of_partitions(window, place.rows) if window else None,
        metadata=_definition_metadata(place),
        pool=TRAINING_POOL,
        required_resource_keys={SETTINGS, MLFLOW},
        check_specs=[
            dg.AssetCheckSpec(
                INTACT_CHECK,
                asset=place.key("model"),
                blocking=True,
                description="Every file of the pack has the size and SHA-256 that it was published with.",
            )
        ],
    )
    def train_model(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from mtac_assets.provenance.identity import declare

        settings: RunSettings = getattr(context.resources, SETTINGS)
        with as_failure(), retried_where_killed(context, place.project.environment.limits.run_seconds):
            resolved = place.resolve(settings, as_of(context))
            declaration = declare(place.project, resolved)
            model_id = declaration.model_id(place.name)
            folder = place.project.state.models / model_id
            context.instance.add_run_tags(context.run_id, {MODEL_ID_TAG: model_id})
            shown: dict[str, Any] = {}
            if settings.force or pack_problems(folder):
                shown = _train(context, place, resolved, declaration, folder, settings.workers or None)
            else:
                context.log.info(f"{model_id} is there and intact: nothing to train")
        problems = pack_problems(folder)
        yield dg.MaterializeResult(
            metadata=_pack_metadata(model_id, declaration.fingerprint, folder) | shown,
            data_version=dg.DataVersion(read_json(folder / "digests.json")["weights_digest"]),
            tags={MODEL_ID_TAG: model_id},
        )
        yield dg.AssetCheckResult(
            check_name=INTACT_CHECK,
            passed=not problems,
            metadata={
                "files": len(read_json(folder / PACK_LIST)["files"]),
                "problems": "\n".join(problems) or "none",
            },
        )

    return train_model


def _train(
    context: dg.AssetExecutionContext,
    place: "RecipePlace",
    resolved: "ResolvedRecipe",
    declaration: "Declaration",
    folder: Path,
    workers: int | None,
) -> dict[str, Any]:
    """Train in the launcher's process, recorded while it works; returns the link to MLflow.

    A pack that is there already (damaged, or to be made again) is replaced only by a whole one, and only by the same weights.
    """
    from mtac_assets.evaluation.launch import beginning
    from mtac_assets.provenance.plan import trained_before
    from mtac_assets.tracking.description import training
    from mtac_assets.training.launch import train

    if resolved.is_language:
        _require_checks(context, place, resolved, workers)
    mlflow: MlflowTracking = getattr(context.resources, MLFLOW)
    sealed = (folder / PACK_LIST).is_file()
    out = place.project.state.runs / context.run_id / folder.name if sealed else folder
    with mlflow.start(training(resolved, declaration, dagster_run_id=context.run_id)) as recorder:
        first = not trained_before(place.project, place.name, declaration)
        with (
            recorder.watching(out / "progress.jsonl"),
            pipes_environment(context) as environment,
            beginning(place.project, resolved) as begin_evaluation,
        ):
            train(
                place.project,
                resolved,
                out,
                context.run_id,
                pipes=environment,
                probe=first,
                workers=workers,
                when_alone=begin_evaluation,
            )
        if sealed:
            _require_same_weights(folder, out)
            publish_folder(out, folder)
        names = [PACK_LIST, *listed_files(read_json(folder / PACK_LIST))]
        used = read_json(folder / "training.json")["usage"]
        recorder.values({f"usage/{name}": float(value) for name, value in used.items()})
        recorder.artifacts({f"model/{name}": folder / name for name in names})
    return dict(mlflow_metadata(recorder.finish()))


def _require_checks(
    context: dg.AssetExecutionContext, place: "RecipePlace", resolved: "ResolvedRecipe", workers: int | None
) -> None:
    """Refuse a mix that breaks its gates, and a training that cannot end well, whichever run built the training set.

    Dagster's checks stand before the model in that run alone: one that begins with the model has none of them.
    """
    from mtac_assets.data.mix.gates import require as require_mix
    from mtac_assets.data.training_set import build
    from mtac_assets.training.preflight.launch import examine, require

    built = build(place.project, resolved)
    require_mix(built.manifest, resolved.language.gates)
    if not passed_in(context, place):
        require(examine(place.project, resolved, workers, built.folder))


def _require_same_weights(before: Path, again: Path) -> None:
    """The same fingerprint must give the same bits. A pack too damaged to say what it held is no witness."""
    if pack_problems(before):
        return
    old, new = (read_json(pack / "digests.json")["weights_digest"] for pack in (before, again))
    if old != new:
        raise CheckFailed(
            Finding(
                f"trained again, {before.name} has other weights: {new[:12]} instead of {old[:12]}",
                str(again),
                "the same weights from the same fingerprint",
                "`mtac probe` names the first tensor and operation that differ",
            )
        )


def _pack_metadata(model_id: str, fingerprint: str, folder: Path) -> dict[str, Any]:
    training, digests = read_json(folder / "training.json"), read_json(folder / "digests.json")
    cells = [
        f"{training['steps']:,}",
        "none" if training["epochs"] is None else training["epochs"],
        f"{training['rows']:,}",
        f"{training['seconds']:.1f}",
        f"{training['rows_per_second']:,.0f}",
        f"{training['peak_memory_bytes'] / 2**20:,.0f}",
    ]
    return {
        "Model ID": model_id,
        "loss": curve.picture(training),
        "training": metadata.table(["steps", "epochs", "rows", "seconds", "rows/s", "peak MiB"], [cells]),
        **_usage(training),
        "fingerprint": fingerprint,
        "weights digest": digests["weights_digest"],
        "pack": metadata.file_link(folder),
    }


def _usage(training: dict[str, Any]) -> dict[str, Any]:
    """Nothing for a pack of before usage was measured."""
    if "usage" not in training:
        return {}
    used = training["usage"]
    cells = [f"{used['cpu_seconds']:.1f}", f"{used['gpu_seconds']:.1f}", f"{used['bytes_written'] / 2**20:,.1f}"]
    return {"usage": metadata.table(["CPU s", "GPU s", "MiB written", "attempts"], [[*cells, training["attempts"]]])}


def _definition_metadata(place: "RecipePlace") -> dict[str, Any]:
    recipe = place.recipe
    return {
        "model": recipe.model.kind,
        "training": dg.MetadataValue.json(recipe.training.model_dump(mode="json")),
        "dagster/code_references": metadata.code(place.folder / "recipe.yaml"),
    }
