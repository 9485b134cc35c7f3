"""A recipe's drift: how far each day's inputs and scores are from the champion's own training history."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration import curve, metadata
from mtac_assets.orchestration.dead_runs import sign_first
from mtac_assets.orchestration.errors import as_failure
from mtac_assets.orchestration.partition_events import NO_VALUE, Materialized, report
from mtac_assets.orchestration.partitions import dataset_partitions, looking_back
from mtac_assets.orchestration.watched import Watched, champion

if TYPE_CHECKING:
    from mtac_assets.monitoring.drift.reference import Block, Reference
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.spec.recipe import DriftTrigger

ALARM_CHECK = "no_drift_alarm"
SHOWN_WINDOWS = 60


def drift_asset(place: "RecipePlace", trigger: "DriftTrigger") -> dg.AssetsDefinition:
    """Judge the windows that end on the requested days. What drifted is a warning and starts a challenger; it promotes nothing."""
    recipe = place.recipe

    @dg.asset(
        key=place.key("drift"),
        description=f"Do the inputs and scores of `{recipe.name}` still look like those of its own days? "
        "Blind to concept drift: performance sees that once labels arrive.",
        group_name=place.name,
        owners=[recipe.owner] if recipe.owner else None,
        kinds={"numpy"},
        deps=[dg.AssetDep(place.key("predictions"), partition_mapping=looking_back(trigger.window_days - 1))],
        partitions_def=dataset_partitions(place.rows),
        dagster_type=NO_VALUE,
        output_required=False,
        backfill_policy=dg.BackfillPolicy.single_run(),
        metadata={
            "watched": dg.MetadataValue.json(trigger.model_dump(mode="json")),
            "dagster/code_references": metadata.code(place.folder / "recipe.yaml"),
        },
        check_specs=[
            dg.AssetCheckSpec(
                ALARM_CHECK,
                asset=place.key("drift"),
                description=f"No ALARM: fewer than {trigger.persistence} windows in a row beyond the threshold.",
            )
        ],
    )
    def judge_days(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
        from mtac_assets.orchestration.partition_events import reported_output

        sign_first(context, place.project)
        with as_failure():
            model = champion(place)
            days = model.days(context.partition_keys) if model is not None else ()
            documents = _judged(context, place, model, days, trigger) if model is not None else {}
        if model is None or not documents:
            context.log.info("no champion may be asked about these days: nothing is judged")
            return
        report(context, [_materialized(place, model, key, document) for key, document in documents.items()])
        last = documents[max(documents)]
        yield reported_output()
        yield dg.AssetCheckResult(
            check_name=ALARM_CHECK,
            passed=last["state"] != "ALARM",
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "state": last["state"],
                "Model ID": model.model_id,
                "last day": max(documents),
                "says": _says(last),
                **_since(place, model, max(documents)),
            },
        )

    return judge_days


def _since(place: "RecipePlace", model: Watched, last: str) -> dict[str, str]:
    """When the alarm began that the window which ends on `last` belongs to; nothing where there is none."""
    from mtac_assets.monitoring.alarm_start import alarm_start
    from mtac_assets.monitoring.drift import store

    known = store.verdicts(store.folder(place.project, place.name, model.model_id))
    since = alarm_start((one["keys"][-1], one["state"]) for one in known if one["keys"][-1] <= last)
    return {"since": since} if since is not None else {}


def window_of(day: str, window_days: int) -> list[str]:
    """The days of the window that ends on `day`, in order."""
    end = date.fromisoformat(day)
    return [(end - timedelta(days=n)).isoformat() for n in reversed(range(window_days))]


def _judged(
    context: dg.AssetExecutionContext,
    place: "RecipePlace",
    model: Watched,
    days: tuple[str, ...],
    trigger: "DriftTrigger",
) -> dict[str, Mapping[str, Any]]:
    """Day to the stored document of the window that ends on it, in the order of the days: persistence looks back."""
    from mtac_assets.data.partitions import present
    from mtac_assets.monitoring.drift import store
    from mtac_assets.monitoring.drift.days import day_blocks
    from mtac_assets.monitoring.drift.scores import judge_with_scores

    folder = store.folder(place.project, place.name, model.model_id)
    reference = _reference(place, model)
    of_scores = _score_reference(context, place, model)
    there = present(place.project.state.data, place.rows.name, place.project.state.cache)
    found: dict[str, Mapping[str, Any]] = {}
    for day in days:
        window = window_of(day, trigger.window_days)
        if model.days(window) != tuple(window):
            continue  # the champion's first windows: days before its as-of date are its own history
        if missing := [each for each in window if each not in there]:
            context.log.warning(f"the window that ends on {day} is not judged: {', '.join(missing)} is missing")
            continue
        blocks = day_blocks(place.project, model.resolved, window)
        scores = _scores(place, model, window)
        beside = scores if isinstance(scores, str) else (of_scores, scores)
        found[day] = store.record(folder, judge_with_scores(reference, blocks, trigger, beside), trigger.persistence)
    return found


def _reference(place: "RecipePlace", model: Watched) -> "Reference":
    """The model's reference of inputs and raw nulls: the days that it learned from."""
    from mtac_assets.monitoring.drift import store
    from mtac_assets.monitoring.drift.days import reference_of
    from mtac_assets.monitoring.drift.reference import open_reference, save

    path = store.reference_path(place.project, place.name, model.model_id)
    if not path.is_file():
        save(reference_of(place.project, model.resolved, model.model_id), path)
    return open_reference(path)


def _score_reference(context: dg.AssetExecutionContext, place: "RecipePlace", model: Watched) -> "Reference":
    """The reference of the model's scores: of the days that it learned from and was tested on, scored once."""
    from mtac_assets.monitoring.drift import store
    from mtac_assets.monitoring.drift.reference import open_reference, save
    from mtac_assets.monitoring.drift.scores import score_reference
    from mtac_assets.monitoring.launch import score_days_apart
    from mtac_assets.monitoring.stored_predictions import SCORE, read_scores
    from mtac_assets.promotion.own_code import own_code

    project = place.project
    path = store.score_reference_path(project, place.name, model.model_id)
    if not path.is_file():
        windows, out = model.resolved.windows(), store.own_scores_folder(project, place.name, model.model_id)
        days = (*windows.train, *windows.validate, *windows.test)
        context.log.info(f"scoring the {len(days)} days of {model.model_id} itself, once: the yardstick of its scores")
        with own_code(project, model.summary, model.resolved) as own:
            code = own if own is not project else None
            score_days_apart(project, model.model_id, days, code=code, out=out, on_note=context.log.info)
        tables = read_scores(project, place.name, model.model_id, days, folder=out)
        save(score_reference({day: rows[SCORE].to_numpy() for day, (_, rows) in tables.items()}, model.model_id), path)
    return open_reference(path)


def _scores(place: "RecipePlace", model: Watched, window: Sequence[str]) -> "Sequence[Block] | str":
    """The champion's stored scores of the window's days, or why they are not judged."""
    from mtac_assets.monitoring.drift.scores import score_blocks
    from mtac_assets.monitoring.errors import MonitoringError
    from mtac_assets.monitoring.live_days import first_live_day
    from mtac_assets.monitoring.stored_predictions import SCORE, read_scores

    first = first_live_day(model.resolved).isoformat()
    if window[0] < first:
        return f"scores of days before {first} are in the reference themselves"
    try:
        tables = read_scores(place.project, place.name, model.model_id, window)
    except MonitoringError as error:
        return "; ".join(f"{finding.where}: {finding.error}" for finding in error.findings)
    return score_blocks({day: rows[SCORE].to_numpy() for day, (_, rows) in tables.items()})


def _materialized(place: "RecipePlace", model: Watched, key: str, document: Mapping[str, Any]) -> Materialized:
    from mtac_assets.monitoring.drift import store
    from mtac_assets.monitoring.drift.chart import draw
    from mtac_assets.provenance.digest import digest_json

    folder = store.folder(place.project, place.name, model.model_id)
    before = [one for one in store.verdicts(folder) if one["keys"][-1] <= key][-SHOWN_WINDOWS:]
    return Materialized(
        key,
        digest_json(document),
        {
            "state": document["state"],
            "says": _says(document),
            "Model ID": model.model_id,
            "dagster/row_count": document["rows"],
            "scores": _of_scores(document),
            "distance": curve.shown("distance", _distances(before), "window"),
            "chart": metadata.image("drift", draw(before, f"Drift of {place.name}")),
            **({"distance to the threshold": round(document["ratio"], 3)} if document["ratio"] is not None else {}),
        },
    )


def _of_scores(document: Mapping[str, Any]) -> str:
    """Whether the scores were judged, and why not where they were not: an absent column must not pass for a calm one."""
    why = [one["reason"] for one in document["unjudged"] if one["role"] == "score" and one["kind"] == "shift"]
    return f"not judged: {why[0]}" if why else "judged"


def _distances(documents: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """How far each window is from normal, in thresholds; a window that was not judged has no place."""
    far = [(float(n), one["ratio"]) for n, one in enumerate(documents, 1) if one["ratio"] is not None]
    return {"distance": far, "threshold": [(step, 1.0) for step, _ in (far[:1] + far[-1:] if len(far) > 1 else [])]}


def _says(document: Mapping[str, Any]) -> str:
    from mtac_assets.monitoring.drift.chart import sentence

    return sentence(document)
