"""A recipe's evaluation report of one as-of date's model, on the days from that date on."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration import metadata
from mtac_assets.orchestration.assets.model import MODEL_ID_TAG
from mtac_assets.orchestration.assets.training_set import as_of, days
from mtac_assets.orchestration.commits import commit_model
from mtac_assets.orchestration.dead_runs import sign_first
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.gate_checks import gate_checks, gate_specs
from mtac_assets.orchestration.partitions import as_of_partitions, test_days
from mtac_assets.orchestration.resources.mlflow import MlflowTracking
from mtac_assets.orchestration.resources.mlflow import metadata as mlflow_metadata
from mtac_assets.orchestration.settings import MLFLOW, SETTINGS
from mtac_assets.provenance.files import read_json
from mtac_assets.spec.errors import CheckFailed, Finding

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.orchestration.settings import RunSettings
    from mtac_assets.spec.resolved import ResolvedRecipe

SHOWN_PLOTS = ("calibration", "roc", "pr", "bits_per_byte")


def report_asset(place: "RecipePlace") -> dg.AssetsDefinition:
    """Evaluate in a process of its own; metrics and plots go beside the asset and into the model's run in MLflow."""
    recipe, window = place.recipe, place.recipe.window
    mapping = test_days(window) if window else None

    @dg.asset(
        key=place.key("report"),
        description=f"How good `{recipe.name}` is on rows it never saw: metrics with intervals, slices, calibration, baselines.",
        group_name=place.name,
        owners=[recipe.owner] if recipe.owner else None,
        kinds={"report", "mlflow"},
        deps=[place.key("model"), *_tested_on(place, mapping)],
        partitions_def=as_of_partitions(window, place.rows) if window else None,
        metadata=_definition_metadata(place),
        required_resource_keys={SETTINGS, MLFLOW},
        check_specs=gate_specs(place.key("report"), recipe.gates),
    )
    def evaluate_model(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from mtac_assets.evaluation.launch import evaluate
        from mtac_assets.provenance.digest import sha256_file
        from mtac_assets.provenance.plan import report_current

        sign_first(context, place.project)
        with as_failure():
            settings: RunSettings = getattr(context.resources, SETTINGS)
            resolved = place.resolve(settings, as_of(context))
            model_id = _model_id(context, place, resolved)
            pack = place.project.state.models / model_id
            folder = place.project.state.reports / model_id
            if settings.force or not report_current(place.project, resolved, model_id):
                evaluate(place.project, resolved, pack, on_note=context.log.info)
            else:
                context.log.info(f"{model_id} was judged on these rows: nothing to evaluate")
            report = read_json(folder / "report.json")
            commit = commit_model(context, place.project, resolved, pack, folder)
            shown = _record(context, place, model_id, folder, report)
        yield dg.MaterializeResult(
            metadata=_report_metadata(report, folder) | shown | {"commit": commit},
            data_version=dg.DataVersion(sha256_file(folder / "report.json")),
            tags={MODEL_ID_TAG: model_id},
        )
        yield from gate_checks(report, resolved.recipe.gates, place.project.environment.promotion)

    return evaluate_model


def _tested_on(place: "RecipePlace", mapping: dg.PartitionMapping | None) -> list[dg.AssetDep | dg.AssetKey]:
    """What holds the rows that the model is judged on: the features of the test days, or the held-out texts."""
    if place.is_language:
        return [place.key("training_set")]
    return [dg.AssetDep(place.key("features"), partition_mapping=mapping)]


def _model_id(context: dg.AssetExecutionContext, place: "RecipePlace", resolved: "ResolvedRecipe") -> str:
    """The model that this run has trained; without one, the model that would be trained now, which must be there."""
    from mtac_assets.provenance.identity import declare

    run = context.instance.get_run_by_id(context.run_id)
    if run is not None and MODEL_ID_TAG in run.tags:
        return run.tags[MODEL_ID_TAG]
    model_id = declare(place.project, resolved).model_id(place.name)
    if not (place.project.state.models / model_id / "pack.json").is_file():
        raise CheckFailed(
            Finding(
                f"{model_id} was not trained yet",
                place.key("model").to_user_string(),
                "a model of the recipe, code and data as they are now",
                f"materialize {place.key('model').to_user_string()} for the same date, together with its report",
            )
        )
    return model_id


def _record(
    context: dg.AssetExecutionContext, place: "RecipePlace", model_id: str, folder: Path, report: Mapping[str, Any]
) -> dict[str, Any]:
    """Add the report to the model's run in MLflow; returns the link."""
    mlflow: MlflowTracking = getattr(context.resources, MLFLOW)
    with mlflow.amend(place.name, model_id) as recorder:
        values = {f"test/{name}": metric["value"] for name, metric in report["metrics"].items()}
        recorder.values({name: value for name, value in values.items() if value is not None})
        recorder.folder("report", folder)
    return dict(mlflow_metadata(recorder.finish()))


def _report_metadata(report: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    tested = report["test"]
    plots = {path.stem: path for path in sorted((folder / "plots").glob("*.svg"))}
    return {
        "Model ID": report["model_id"],
        "metrics": metadata.metric_table(report),
        **{name.replace("_", " "): metadata.plot(path) for name, path in plots.items() if name.startswith(SHOWN_PLOTS)},
        "tested on": _tested(tested),
        "report": metadata.file_link(folder / "report.html"),
    }


def _tested(tested: Mapping[str, Any]) -> str:
    if "bytes" in tested:
        return f"{tested['rows']:,} held-out documents, {tested['bytes']:,} bytes"
    return f"{days(tested['days'])}, {tested['rows']:,} rows, {tested['excluded_unlabelled']:,} without label"


def _definition_metadata(place: "RecipePlace") -> dict[str, Any]:
    recipe = place.recipe
    window = recipe.window
    return {
        "tested on": f"{window.test_days} days from the as-of date on" if window else "the split's test rows",
        "baselines": ", ".join(getattr(recipe.evaluation, "baselines", ("unigram",))),
        "gates": dg.MetadataValue.json(recipe.gates.model_dump(mode="json", exclude_defaults=True)),
        "dagster/code_references": metadata.code(place.folder / "recipe.yaml"),
    }
