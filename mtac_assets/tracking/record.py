"""Recording a training in MLflow: one run a training, always closed, and never in the training's way.

Every call first becomes a durable document in the outbox; a courier brings it to MLflow in the background. What MLflow
did not get is sent by `at_start` of the next command that writes. MLflow is a view of what happened: refs, packs and
reports hold the truth, and a failed recording never fails a training.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from mtac_assets.provenance.files import json_bytes
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding
from mtac_assets.tracking import limits, outbox
from mtac_assets.tracking.courier import Courier
from mtac_assets.tracking.delivery import artifact_name, deliver, encoded
from mtac_assets.tracking.description import MODEL_ID_TAG, Training
from mtac_assets.tracking.errors import Refused, TrackingError, Unreachable, unreachable
from mtac_assets.tracking.settings import dagster_run_page, run_page, tracking_uri
from mtac_assets.tracking.writer import Writer

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

Status = Literal["FINISHED", "FAILED", "KILLED"]
CLOSING_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one metric at one step, with the moment at which it was observed."""

    name: str
    value: float
    step: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a recording: `url` is its page in MLflow, None while MLflow has not seen it. `warnings` say why it has not;
    none where the environment delivers nothing."""

    recording_id: str
    delivered: bool
    url: str | None
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Flushed:
    """What a flush did: recordings sent in full, still queued, set aside for good, and what to tell the user."""

    sent: tuple[str, ...] = ()
    queued: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    warnings: tuple[Finding, ...] = ()


class Recorder:
    """One recording's life: `start` or `amend`, then `metrics`, `artifacts`, `tags`, and `finish`.

    As a context manager it finishes by itself: FINISHED, FAILED on an exception, KILLED on an interrupt.
    """

    def __init__(self, project: Project) -> None:
        tracking_uri(project)  # a wrong address is the user's error and is told at once
        self._project = project
        self._folder: outbox.Folder | None = None
        self._courier: Courier | None = None
        self._outcome: Outcome | None = None
        self._writing = threading.Lock()  # progress and system metrics are appended from threads of their own

    def start(self, training: Training) -> Recorder:
        """Begin the run of one training; its recipe, data versions and environment are recorded with it."""
        tags = {**training.tags, MODEL_ID_TAG: training.model_id, "mtac.environment": self._project.environment.name}
        note = [f"Model **{training.model_id}**, recorded by MTaC."]
        if training.dagster_run_id is not None:
            page = dagster_run_page(self._project, training.dagster_run_id)
            tags |= {"dagster.run_id": training.dagster_run_id, "dagster.run_url": page}
            note.append(f"[Dagster run {training.dagster_run_id}]({page})")
        tags["mlflow.note.content"] = "\n\n".join(note)
        tags |= {f"environment.{name}": value for name, value in training.environment.items()}
        self._begin(
            experiment=training.experiment,
            run_name=training.model_id,
            tags=tags,
            params=limits.flat_params(training.recipe),
            inputs=[entry.document() for entry in training.data],
            amends=None,
        )
        data = {entry.dataset: dict(entry.partitions) for entry in training.data}
        documents = {"recipe.json": training.recipe, "data.json": data, "environment.json": dict(training.environment)}
        self.documents(documents)
        return self

    def amend(self, experiment: str, model_id: str) -> Recorder:
        """Add to the newest run of a model, which may be finished long since: its report, its registration.

        The run's status stays as it is. Where MLflow lost the run, a new one takes what is added.
        """
        tags = {MODEL_ID_TAG: model_id}
        self._begin(experiment=experiment, run_name=model_id, tags=tags, params={}, inputs=[], amends=tags)
        return self

    def metrics(self, points: Iterable[Point]) -> None:
        """Record points, at best many at a time: they travel in batches of up to 1,000."""
        encoded_points = [
            [limits.fitting_name(point.name), encoded(point.value), _milliseconds(point.at), point.step]
            for point in points
        ]
        for batch in limits.batches(encoded_points, limits.BATCH_METRICS):
            self._append("metrics", {"points": list(batch)})

    def values(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record single values, observed now."""
        at = clock.now()
        self.metrics(Point(name, value, step, at) for name, value in values.items())

    def artifacts(self, files: Mapping[str, Path]) -> None:
        """Record files under artifact names (`report/report.html`); they are kept until MLflow has them."""
        entries = [self._open().keep(path, artifact_name(name)) for name, path in sorted(files.items())]
        self._append("artifacts", {"files": entries})

    def folder(self, prefix: str, folder: Path) -> None:
        """Record every file of `folder` under `prefix/`, weights included: they are small, and safetensors only."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        self.artifacts({f"{prefix}/{path.relative_to(folder).as_posix()}": path for path in paths})

    def documents(self, documents: Mapping[str, Any]) -> None:
        """Record JSON values as artifacts."""
        with tempfile.TemporaryDirectory(dir=self._open().path, prefix=".documents-") as temporary:
            files = {}
            for name, value in documents.items():
                files[name] = Path(temporary, name.replace("/", "_"))
                files[name].write_bytes(json_bytes(value))
            self.artifacts(files)

    def tags(self, tags: Mapping[str, str]) -> None:
        self._append("tags", {"tags": _fitting_tags(tags)})

    @contextmanager
    def watching(self, progress: Path | None = None) -> Iterator[None]:
        """While the block runs, record the trainer's `progress.jsonl` as it grows, and CPU and memory of this process
        with its children."""
        from mtac_assets.tracking.progress import follow
        from mtac_assets.tracking.system import sample

        with sample(self.metrics), follow(progress, self.metrics):
            yield

    def finish(self, status: Status = "FINISHED") -> Outcome:
        """Close the recording. Waits for MLflow only as long as MLflow answers; finishing twice changes nothing."""
        if self._outcome is not None:
            return self._outcome
        folder = self._open()
        amends = folder.header()["amends"] is not None
        self._append("finish", {"status": None if amends else status})
        if self._courier is None:
            self._outcome = Outcome(folder.recording_id, delivered=False, url=None)
            return self._outcome
        self._courier.close(CLOSING_SECONDS)
        warnings: tuple[Finding, ...] = ()
        if self._courier.failure is not None:
            warnings = self._courier.failure.findings
            if isinstance(self._courier.failure, Refused):
                _set_aside(folder)
        last = self._courier.last
        if not warnings and (last is None or not last.complete):
            warnings = unreachable(f"recording {folder.recording_id}", "it is slow").findings
        self._outcome = Outcome(
            folder.recording_id,
            delivered=last is not None and last.complete,
            url=None if last is None else run_page(self._project, last.experiment_id, last.run_id),
            warnings=warnings,
        )
        return self._outcome

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self.finish("FINISHED" if kind is None else "FAILED" if issubclass(kind, Exception) else "KILLED")

    def _begin(self, *, tags: Mapping[str, str], **header: Any) -> None:
        assert self._folder is None, "a recorder records one training"
        self._folder = outbox.begin(
            self._project.state.outbox,
            {
                **header,
                "tags": _fitting_tags(tags),
                "at_ms": _milliseconds(clock.now()),
                "writer": Writer.myself().document(),
                "limit_seconds": self._project.environment.limits.run_seconds,
            },
        )
        if self._project.environment.mlflow.deliver:
            self._courier = Courier(self._project, self._folder)

    def _open(self) -> outbox.Folder:
        assert self._folder is not None, "start() or amend() comes first"
        assert self._outcome is None, "the recording is finished"
        return self._folder

    def _append(self, kind: str, content: Mapping[str, Any]) -> None:
        folder = self._open()
        with self._writing:
            folder.append(kind, _milliseconds(clock.now()), content)
        if self._courier is not None:
            self._courier.wake()


def at_start(project: Project) -> Flushed:
    """What every command that writes does first: close what killed runs left open, and send what is queued.

    An empty outbox costs one scandir and no import of MLflow.
    """
    if not outbox.recordings(project.state.outbox):
        return Flushed()
    close_orphans(project)
    return flush(project)


def close_orphans(project: Project) -> tuple[str, ...]:
    """Finish, as KILLED, every recording whose process is gone; returns their ids. Touches only the outbox."""
    closed: list[str] = []
    for folder in outbox.recordings(project.state.outbox):
        if folder.finished():
            continue
        header = folder.header()
        began = datetime.fromtimestamp(header["at_ms"] / 1000, UTC)
        writer = Writer.from_document(header["writer"])
        if writer.alive(began, clock.now(), timedelta(seconds=header["limit_seconds"])):
            continue
        sequences = folder.sequences()
        last_ms = folder.document(sequences[-1])["at_ms"] if sequences else header["at_ms"]
        folder.append("tags", last_ms, {"tags": {"mtac.closed": f"process {writer.pid} on {writer.host} was gone"}})
        folder.append("finish", last_ms, {"status": "KILLED"})
        closed.append(folder.recording_id)
    return tuple(closed)


def flush(project: Project) -> Flushed:
    """Send every queued recording that nobody is writing any more. An MLflow that does not answer is asked once, and none where the
    environment says `mlflow.deliver: false`."""
    outbox.sweep(project.state.outbox)
    if not project.environment.mlflow.deliver:
        return Flushed(queued=tuple(folder.recording_id for folder in outbox.recordings(project.state.outbox)))
    sent: list[str] = []
    queued: list[str] = []
    rejected: list[str] = []
    warnings: list[Finding] = []
    answers = True
    for folder in outbox.recordings(project.state.outbox):
        if not folder.finished():
            continue  # its own recorder is at work
        name = folder.recording_id
        if not answers:
            queued.append(name)
            continue
        try:
            delivery = deliver(project, folder)
        except Unreachable as error:
            answers = False
            queued.append(name)
            warnings.extend(error.findings)
        except Refused as error:
            _set_aside(folder)
            rejected.append(name)
            warnings.extend(error.findings)
        else:
            if delivery is not None and delivery.complete:
                sent.append(name)
    return Flushed(tuple(sent), tuple(queued), tuple(rejected), tuple(warnings))


def _set_aside(folder: outbox.Folder) -> None:
    if folder.path.exists():
        folder.reject()


def _fitting_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {limits.fitting_name(name): limits.fitting_value(value, limits.TAG_VALUE) for name, value in tags.items()}


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


__all__ = ["Flushed", "Outcome", "Point", "Recorder", "Status", "TrackingError", "at_start", "close_orphans", "flush"]
