"""A recipe's live performance: the champion's loss on labels that have arrived, window by window, against its own test rows."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration import curve, metadata
from mtac_assets.orchestration.dead_runs import sign
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.watched import champion

if TYPE_CHECKING:
    from mtac_assets.monitoring.performance import Performance
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.spec.recipe import PerformanceTrigger

ALARM_CHECK = "no_performance_alarm"


def performance_asset(place: "RecipePlace", trigger: "PerformanceTrigger") -> dg.AssetsDefinition:
    """Judge all live windows of the champion anew: labels may have arrived for any of them."""
    recipe = place.recipe

    @dg.asset(
        key=place.key("performance"),
        description=f"Is `{recipe.name}` as good on live rows as it was on its test rows? Concept drift is found here and only here.",
        group_name=place.name,
        owners=[recipe.owner] if recipe.owner else None,
        kinds={"numpy"},
        deps=[dg.AssetDep(place.key("predictions"), partition_mapping=dg.AllPartitionMapping())],
        output_required=False,
        metadata={
            "watched": dg.MetadataValue.json(trigger.model_dump(mode="json")),
            "dagster/code_references": metadata.code(place.folder / "recipe.yaml"),
        },
        check_specs=[
            dg.AssetCheckSpec(
                ALARM_CHECK,
                asset=place.key("performance"),
                description=f"No ALARM: fewer than {trigger.persistence} windows in a row with a worse loss.",
            )
        ],
    )
    def judge_windows(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from mtac_assets.monitoring.alarm_start import alarm_start
        from mtac_assets.monitoring.live_days import live_days
        from mtac_assets.monitoring.performance import performance
        from mtac_assets.monitoring.stored_predictions import scored_days
        from mtac_assets.provenance.digest import digest_json

        sign(context)
        with as_failure():
            model = champion(place)
            days = (
                ()
                if model is None
                else live_days(model.resolved, scored_days(place.project, place.name, model.model_id))
            )
            judged = performance(place.project, model.model_id, days, trigger) if model is not None and days else None
        if judged is None:
            context.log.info("no live day of a champion was scored yet: nothing is judged")
            return
        document = judged.document()
        yield dg.MaterializeResult(
            metadata=_metadata(judged, document), data_version=dg.DataVersion(digest_json(document))
        )
        since = alarm_start((window.first, window.state) for window in judged.windows)
        yield dg.AssetCheckResult(
            check_name=ALARM_CHECK,
            passed=judged.state != "ALARM",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "state": judged.state,
                "Model ID": judged.model_id,
                "last day": max(days),
                "says": _says(judged),
                **({"since": since} if since is not None else {}),
            },
        )

    return judge_windows


def _says(judged: "Performance") -> str:
    """The newest window that could be judged, in a line."""
    known = [window for window in judged.windows if window.metrics is not None and window.state != "INSUFFICIENT"]
    if not known:
        return "INSUFFICIENT: no window with enough labels yet"
    loss = metadata.interval(known[-1].metrics["log_loss"]) if known[-1].metrics else ""
    return f"{judged.state}: log loss {loss} from {known[-1].first} to {known[-1].last}"


def _losses(judged: "Performance") -> dict[str, list[tuple[float, float]]]:
    """The log loss of each window that has one, beside that of the test rows."""
    live = [
        (float(n), float(window.metrics["log_loss"]["value"]))
        for n, window in enumerate(judged.windows, 1)
        if window.metrics and window.metrics["log_loss"]["value"] is not None
    ]
    reference = float(judged.reference["metrics"]["log_loss"]["value"])
    return {"live": live, "its test rows": [(n, reference) for n, _ in (live[:1] + live[-1:] if len(live) > 1 else [])]}


def _metadata(judged: "Performance", document: dict[str, Any]) -> dict[str, Any]:
    from mtac_assets.monitoring.performance_plot import performance_picture

    rows: Sequence[Sequence[object]] = [
        [
            f"{window.first} to {window.last}",
            window.state,
            f"{window.labelled:,}",
            metadata.interval(window.metrics["log_loss"]) if window.metrics else window.reason or "",
            metadata.interval(window.metrics["roc_auc"]) if window.metrics else "",
        ]
        for window in judged.windows
    ]
    return {
        "state": judged.state,
        "Model ID": judged.model_id,
        "log loss": curve.shown("log loss", _losses(judged), "window"),
        "chart": metadata.image("performance", performance_picture(document)),
        "windows": metadata.table(["days", "state", "rows with label", "log loss", "ROC AUC"], rows),
        "reference": f"log loss {metadata.interval(judged.reference['metrics']['log_loss'])} on its test rows",
        **({"validation loss": judged.reference["validation"]} if judged.reference["validation"] is not None else {}),
    }
