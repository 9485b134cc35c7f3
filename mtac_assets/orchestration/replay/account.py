"""What happened to one policy, read from the records that its runs left: run tags, the ledger, commits, verdicts, scores.

Nothing is counted while it is played, so an interrupted replay that went on tells the same as one that ran through. No number here is
the machine's but what `cost` and `seconds` hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.data.partitions import present
from mtac_assets.data.readers.local import file_name
from mtac_assets.orchestration.assets import drift, performance
from mtac_assets.orchestration.jobs import RECIPE_TAG, line_name
from mtac_assets.orchestration.replay.champions import REPRODUCTION_GATE, failing, final
from mtac_assets.orchestration.replay.landing import INCOMING, Landing, keys_until
from mtac_assets.orchestration.replay.moments import landing_time
from mtac_assets.orchestration.replay.served import served_days, write_scores
from mtac_assets.orchestration.triggers.arrival import refusals
from mtac_assets.orchestration.triggers.attempts import attempts
from mtac_assets.orchestration.triggers.tags import REASON_TAG, REQUESTED_TAG, TRIGGER_TAG
from mtac_assets.provenance import ledger, refs
from mtac_assets.provenance.files import write_json
from mtac_assets.spec.load import check_recipe, load_dataset

if TYPE_CHECKING:
    from mtac_assets.orchestration.replay.library import Library
    from mtac_assets.provenance.ledger import Entry
    from mtac_assets.spec.project import Project

SCHEMA_VERSION = 1
ALARMS = {"drift": drift.ALARM_CHECK, "performance": performance.ALARM_CHECK}


@dataclass(frozen=True)
class Played:
    """A policy that was played from `first` to `last`: where its records are."""

    project: Project
    instance: dg.DagsterInstance
    recipe: str
    landings: Sequence[Landing]
    first: date
    last: date
    library: Library

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]


def account(played: Played, seconds: Mapping[str, float], out: Path) -> dict[str, Any]:
    """Write `account.json` and `scores.parquet` (day, label and score of every row that was served) into `out`."""
    project, recipe = played.project, played.recipe
    entries = ledger.history(project, project.environment.name, recipe)
    # A day's rows are asked about until its files land on the next: the champion of that moment has served them.
    served: dict[str, str] = {}
    for day in played.days[:-1]:
        entry = ledger.champion(entries, recipe, landing_time(day))
        if entry is not None and entry.model_id is not None:
            served[day.isoformat()] = entry.model_id
    days, scores = served_days(project, recipe, served)
    document = {
        "schema_version": SCHEMA_VERSION,
        "recipe": recipe,
        "first": played.first.isoformat(),
        "last": played.last.isoformat(),
        "arrivals": {landing.dataset: _arrivals(played, landing) for landing in played.landings},
        "trainings": _trainings(played),
        "failures": _failures(played),
        "decisions": [_decision(entry) for entry in entries if final(entry) or entry.kind == "rollback"],
        "watched": [kind for kind in ALARMS if getattr(check_recipe(project, recipe).triggers, kind) is not None],
        "alarms": [alarm for kind, check in ALARMS.items() for alarm in _alarms(played, kind, check)],
        "days": days,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
    }
    write_scores(scores, out / "scores.parquet")
    write_json(out / "account.json", document)
    return document


def _arrivals(played: Played, landing: Landing) -> dict[str, Any]:
    """Files of one dataset that landed while it was played, what became partitions, and what was not taken."""
    project, before = played.project, (played.first - timedelta(days=1)).isoformat()
    dataset = load_dataset(project, landing.dataset)
    folder = project.root / INCOMING / landing.dataset
    keys = [key for key in keys_until(dataset, played.last) if key >= before]
    landed = [key for key in keys if (folder / file_name(landing.pattern, key)).is_file()]
    manifests = present(project.state.data, landing.dataset, project.state.cache)
    held = refusals(project, played.instance, dataset)
    return {
        "landed": len(landed),
        "partitions": sum(key in manifests for key in keys),
        "quarantined_rows": sum(manifests[key].quarantined_rows for key in keys if key in manifests),
        "refused": {key: hold.reason for key, hold in sorted(held.items())},
    }


def _trainings(played: Played) -> list[dict[str, Any]]:
    models = refs.list_models(played.project, played.recipe)
    found: list[dict[str, Any]] = []
    for model in sorted(models, key=lambda model: (model.created_at, model.model_id)):
        cost = played.library.cost(model.model_id) or {}
        found.append(
            {
                "at": model.created_at,
                "model_id": model.model_id,
                "as_of": model.as_of,
                "trigger": model.trigger,
                "weights_digest": model.weights_digest,
                "why": dict(model.evidence).get("why", ""),
                "cost": {name: cost.get(name) for name in ("seconds", "cpu_seconds")},
            }
        )
    return found


def _failures(played: Played) -> list[dict[str, Any]]:
    """Trainings that a trigger started and that came to no good end, oldest first."""
    runs = attempts(played.project, played.instance, line_name(played.recipe), {RECIPE_TAG: played.recipe})
    return [
        {"at": _stamp(run.requested), "trigger": run.tags.get(TRIGGER_TAG, ""), "why": run.tags.get(REASON_TAG, "")}
        for run in reversed(runs)
        if run.finished and not run.succeeded
    ]


def _decision(entry: Entry) -> dict[str, Any]:
    # A model that another gate refuses is not rebuilt, so that it lacks a rebuild is no reason of its own.
    failed = failing(entry)
    told = [verdict for verdict in failed if verdict["gate"] != REPRODUCTION_GATE] or failed
    reasons = [f"{verdict['gate']}: {verdict['reason']}" for verdict in told]
    return {"at": entry.at, "kind": entry.kind, "model_id": entry.model_id, "by": entry.actor, "refused_by": reasons}


def _alarms(played: Played, kind: str, check: str) -> list[dict[str, Any]]:
    """Each time that a watcher went over to ALARM on a champion; an alarm that stays is one."""
    key = dg.AssetCheckKey(dg.AssetKey([played.recipe, kind]), check)
    history = played.instance.event_log_storage.get_asset_check_execution_history(key, limit=1_000_000)
    found: list[dict[str, Any]] = []
    before: tuple[str, str] | None = None
    for at, metadata in _evaluations(played.instance, reversed(list(history))):
        state, model = str(metadata["state"].value), str(metadata["Model ID"].value)
        if state == "ALARM" and before != (state, model):
            says, day = metadata["says"].value, metadata["last day"].value
            found.append({"at": at, "kind": kind, "model_id": model, "last_day": day, "says": says})
        before = state, model
    return found


def _evaluations(instance: dg.DagsterInstance, records: Iterable[Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    for record in records:
        event = record.event.dagster_event if record.event is not None else None
        if event is None or event.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            continue
        run = instance.get_run_by_id(record.run_id)
        at = run.tags.get(REQUESTED_TAG, "") if run is not None else ""
        yield at, event.asset_check_evaluation_data.metadata


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
