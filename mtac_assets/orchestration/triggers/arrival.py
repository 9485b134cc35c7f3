"""A dataset's arrival sensor: files that land become partitions, each state of each file once.

What is to be done is read from manifests and the folder at every look, what was tried from Dagster's runs; the cursor only
spares asking twice. So a daemon killed at any moment, or a lost cursor, loses nothing and doubles nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration.jobs import DATASET_TAG, ingest_name
from mtac_assets.orchestration.triggers.attempts import Attempt, Hold, Patience, attempts, standing
from mtac_assets.orchestration.triggers.reported import unfinished, unreported
from mtac_assets.orchestration.triggers.surroundings import Stillness
from mtac_assets.orchestration.triggers.tags import ARRIVAL, TRIGGER_TAG
from mtac_assets.orchestration.triggers.work import Work, requested
from mtac_assets.provenance.digest import digest_json

if TYPE_CHECKING:
    from mtac_assets.data.arrivals import Arrived, Look, Seen, Watch
    from mtac_assets.orchestration.place import DatasetPlace
    from mtac_assets.spec.dataset import Arrival, Dataset
    from mtac_assets.spec.project import Project

SCHEMA_VERSION = 1
LEFT = "written by a run that did not end"
NAMED = 5  # keys or files named in a tick's message


def arrival_name(dataset: str) -> str:
    return f"{dataset}_arrival"


def arrival_sensor(place: DatasetPlace, settings: Arrival) -> dg.SensorDefinition:
    """Look into the folder and ask for one ingest run for each unbroken range of days that are whole."""
    dataset, project = place.dataset, place.project
    name = dataset.name
    patience = patience_of(settings)
    watches: list[Watch] = []  # made at the first look: it imports what loading the definitions need not
    stillness = Stillness(project, [name])

    @dg.sensor(
        name=arrival_name(name),
        job_name=ingest_name(name),
        minimum_interval_seconds=settings.every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if settings.active else dg.DefaultSensorStatus.STOPPED,
        description=f"Bring files of `{name}` in as they land. A file that is refused is tried {settings.attempts} times "
        "and then again when it changes.",
        tags={DATASET_TAG: name},
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        from mtac_assets.data.arrivals import Watch

        if not watches:
            watches.append(Watch(project, dataset))
        cursor = _Cursor.read(context.cursor)
        found = watches[0].look(timedelta(seconds=settings.settle_seconds), cursor.seen)
        ready = {each.key: each for each in found.ready if cursor.refused.get(each.key) != each.digest}
        states = stillness.now()
        left = {} if stillness.still(states) else _left_unfinished(context.instance, place)
        work = Work((), {})
        if ready or left:
            work = _work(context.instance, project, dataset, patience, ready, left)
        if not left:
            stillness.settle(states)
        refused = {each.key: each.digest for each in found.ready if each.key not in ready}
        refused |= {key: ready[key].digest for key, hold in work.held.items() if hold.final and key in ready}
        news = sorted(key for key, digest in refused.items() if cursor.refused.get(key) != digest)
        if news:
            _tell(context, project, name, news)
        after = _Cursor(found.seen, refused).text()
        said = _message(found, work, refused)
        return dg.SensorResult(
            run_requests=list(work.requests),
            skip_reason=None if work.requests else dg.SkipReason(said),
            cursor=after if after != context.cursor else None,
        )

    return look


def patience_of(settings: Arrival) -> Patience:
    return Patience(settings.attempts, timedelta(minutes=settings.backoff_minutes))


def arrivals(project: Project, instance: dg.DagsterInstance, dataset: str) -> tuple[Attempt, ...]:
    """Ingest runs that the dataset's arrival sensor started, newest first."""
    return attempts(project, instance, ingest_name(dataset), {TRIGGER_TAG: ARRIVAL})


def refusals(project: Project, instance: dg.DagsterInstance, dataset: Dataset) -> dict[str, Hold]:
    """Partitions whose file, as it lies there now, was tried and not taken; with the reason."""
    from mtac_assets.data.arrivals import arrived
    from mtac_assets.data.ingest_pending import pending

    if dataset.arrival is None:
        return {}
    history = arrivals(project, instance, dataset.name)
    tried = sorted({key for each in history if each.finished and not each.succeeded for key in each.work})
    if not tried:
        return {}
    patience = patience_of(dataset.arrival)
    found = arrived(project, dataset, pending(project, dataset, tried))
    asked = ((each.key, standing(history, each.key, each.digest, patience)) for each in found)
    return {key: hold for key, hold in asked if isinstance(hold, Hold) and hold.refused}


def _work(
    instance: dg.DagsterInstance,
    project: Project,
    dataset: Dataset,
    patience: Patience,
    ready: Mapping[str, Arrived],
    left: Mapping[str, str],
) -> Work:
    def evidence(keys: Sequence[str]) -> dict[str, Any]:
        reasons = sorted({ready[key].reason if key in ready else LEFT for key in keys})
        return {"dataset": dataset.name, "partitions": len(keys), "first": keys[0], "last": keys[-1], "why": reasons}

    return requested(
        dataset.name,
        ingest_name(dataset.name),
        {**left, **{key: each.digest for key, each in ready.items()}},
        arrivals(project, instance, dataset.name),
        patience,
        trigger=ARRIVAL,
        evidence=evidence,
        tags={DATASET_TAG: dataset.name},
        partitioned=dataset.partitions.kind == "daily",
    )


def _left_unfinished(instance: dg.DagsterInstance, place: DatasetPlace) -> dict[str, str]:
    """Partitions that a killed run wrote and told nobody of: key to a digest of what lies there."""
    from mtac_assets.data.partitions import present

    project, dataset = place.project, place.dataset
    if unfinished(instance, ingest_name(dataset.name)):
        return {}
    manifests = present(project.state.data, dataset.name, project.state.cache)
    versions = {key: manifest.content_digest for key, manifest in manifests.items()}
    found = unreported(instance, place.key, versions, partitioned=dataset.partitions.kind == "daily")
    return {key: digest_json([LEFT, version])[:12] for key, version in found.items()}


def _tell(context: dg.SensorEvaluationContext, project: Project, dataset: str, keys: Sequence[str]) -> None:
    """Files were given up: whoever listens is told once, and a listener that fails changes nothing."""
    from mtac_assets.monitoring.webhook import notify

    for finding in notify(project, "file_refused", {"dataset": dataset, "partitions": list(keys)}):
        context.log.warning(str(finding))


def _message(found: Look, work: Work, refused: Mapping[str, str]) -> str:
    """What a tick that starts nothing says; nothing that lies in the folder is left out."""
    parts = [
        _named("refused until it changes", list(refused)),
        _named("waiting", [f"{key} ({hold.reason})" for key, hold in work.held.items() if key not in refused]),
        _named("still being written", [each.key for each in found.settling]),
        _named("early, their day is not over", found.early),
        _named("not a partition's file", found.strangers),
    ]
    return "; ".join(part for part in parts if part) or "nothing new has landed"


def _named(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{what}: {', '.join(names[:NAMED])}{more}"


@dataclass(frozen=True)
class _Cursor:
    """Shortcuts: since when a pending file is as it is, and which states of files were given up. Losing it costs time only."""

    seen: Mapping[str, Seen]
    refused: Mapping[str, str]

    @classmethod
    def read(cls, text: str | None) -> _Cursor:
        from mtac_assets.data.arrivals import Seen

        document = json.loads(text) if text else {}
        if document.get("schema_version") != SCHEMA_VERSION:
            return cls({}, {})
        seen = {key: Seen(digest, datetime.fromisoformat(at)) for key, (digest, at) in document["seen"].items()}
        return cls(seen, document["refused"])

    def text(self) -> str:
        seen = {key: [each.digest, each.since.isoformat()] for key, each in self.seen.items()}
        return json.dumps({"schema_version": SCHEMA_VERSION, "seen": seen, "refused": dict(self.refused)})
