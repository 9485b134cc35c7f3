"""From the outbox to MLflow: apply one recording's documents, in order, so that applying them again changes nothing.

The run is found by its tag `mtac.recording_id`; metrics carry the time at which they were recorded, so that a database
store sees a replayed point as the one that it has; parameters, tags, inputs and artifacts overwrite themselves.
Nothing here decides when to deliver (`courier.py`, `record.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance.digest import canonical_json, sha256_file
from mtac_assets.spec.errors import Finding
from mtac_assets.tracking import limits
from mtac_assets.tracking.connection import connected, ensure_experiment
from mtac_assets.tracking.errors import Refused
from mtac_assets.tracking.outbox import FILES, Folder
from mtac_assets.tracking.settings import tracking_uri

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking.client import MlflowClient

    from mtac_assets.spec.project import Project

RECORDING_TAG = "mtac.recording_id"


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far one recording has come: the MLflow run, and whether all of it is there and closed."""

    run_id: str
    experiment_id: str
    complete: bool


def deliver(project: Project, folder: Folder) -> Delivery | None:
    """Send what MLflow does not have yet; None where another process is at it or has done it.

    Raises Unreachable where MLflow does not answer (try again later), Refused where it will never accept a document.
    """
    with folder.lock() as mine:
        if not mine:
            return None
        with connected(project, f"recording {folder.recording_id}") as mlflow_client:
            state = _run(project, mlflow_client, folder)
            run_id = state["run_id"]
            complete = folder.finished_at(state["sequence"])
            # complete is what was applied, not what lies there by then: a training goes on recording meanwhile
            while not complete and folder.has(following := state["sequence"] + 1):
                document = folder.document(following)
                APPLY[document["kind"]](mlflow_client, run_id, document, folder)
                state = {**state, "sequence": following}
                folder.mark_delivered(state)
                complete = document["kind"] == "finish"
        if complete:
            folder.discard()
        return Delivery(run_id, state["experiment_id"], complete)


def _run(project: Project, mlflow_client: MlflowClient, folder: Folder) -> dict[str, Any]:
    """The recording's run with its header applied: found where it exists, created where it does not."""
    state = folder.delivered()
    if state.get("store") == tracking_uri(project):
        return state
    header = folder.header()
    experiment_id = ensure_experiment(project, mlflow_client, header["experiment"])
    run = _existing(mlflow_client, experiment_id, folder, header) or mlflow_client.create_run(
        experiment_id,
        start_time=header["at_ms"],
        run_name=header["run_name"],
        tags={**header["tags"], RECORDING_TAG: folder.recording_id},
    )
    run_id = run.info.run_id
    for tags in limits.batches(sorted(header["tags"].items()), limits.BATCH_PARAMS_OR_TAGS):
        _log_tags(mlflow_client, run_id, dict(tags))
    _log_params(mlflow_client, run_id, header["params"])
    _log_inputs(mlflow_client, run_id, header["inputs"])
    state = {"store": tracking_uri(project), "run_id": run_id, "experiment_id": experiment_id, "sequence": 0}
    folder.mark_delivered(state)
    return state


def _existing(mlflow_client: MlflowClient, experiment_id: str, folder: Folder, header: Mapping[str, Any]) -> Run | None:
    """The run that an earlier attempt created, or the one that an amendment is about."""
    own = mlflow_client.search_runs(
        [experiment_id], f"tags.`{RECORDING_TAG}` = '{folder.recording_id}'", order_by=["attributes.start_time ASC"]
    )
    for stray in own[1:]:  # a request that was answered too late to be heard
        mlflow_client.delete_run(stray.info.run_id)
    if own:
        return own[0]
    if header["amends"] is None:
        return None
    matching = mlflow_client.search_runs(
        [experiment_id],
        " and ".join(f"tags.`{name}` = '{value}'" for name, value in sorted(header["amends"].items())),
        order_by=["attributes.start_time DESC"],
    )
    finished = [run for run in matching if run.info.status == "FINISHED"]
    return (finished or list(matching) or [None])[0]


def _log_tags(mlflow_client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    mlflow_client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])


def _log_params(mlflow_client: MlflowClient, run_id: str, params: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    entities = [Param(name, value) for name, value in sorted(params.items())]
    for batch in limits.batches(entities, limits.BATCH_PARAMS_OR_TAGS):
        mlflow_client.log_batch(run_id, params=batch)


def _log_inputs(mlflow_client: MlflowClient, run_id: str, inputs: Sequence[Mapping[str, Any]]) -> None:
    """Datasets under our own digest: MLflow's covers the first 10,000 rows and only string and number columns."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    datasets = [
        DatasetInput(
            Dataset(
                name=entry["name"],
                digest=entry["digest"][: limits.DATASET_DIGEST],
                source_type="mtac",
                source=canonical_json({"dataset": entry["name"], "sha256": entry["digest"]}).decode(),
                profile=canonical_json(entry["profile"]).decode(),
            ),
            tags=[InputTag("mlflow.data.context", entry["context"])],
        )
        for entry in inputs
    ]
    if datasets:
        mlflow_client.log_inputs(run_id, datasets)


def _metrics(mlflow_client: MlflowClient, run_id: str, document: Mapping[str, Any], folder: Folder) -> None:
    from mlflow.entities import Metric

    points = [Metric(name, float(value), at_ms, step) for name, value, at_ms, step in document["points"]]
    for batch in limits.batches(points, limits.BATCH_METRICS):
        mlflow_client.log_batch(run_id, metrics=batch)


def _artifacts(mlflow_client: MlflowClient, run_id: str, document: Mapping[str, Any], folder: Folder) -> None:
    for entry in document["files"]:
        kept = folder.path / FILES / entry["path"]
        if not kept.exists() or sha256_file(kept) != entry["sha256"]:
            raise Refused(
                Finding(
                    f"artifact {entry['path']} is missing from the outbox or changed since it was recorded",
                    str(kept),
                    f"a file of {entry['size']} bytes with sha256 {entry['sha256']}",
                    "record it again from the model's pack",
                )
            )
        parent = str(PurePosixPath(entry["path"]).parent)
        mlflow_client.log_artifact(run_id, str(kept), None if parent == "." else parent)


def _tags(mlflow_client: MlflowClient, run_id: str, document: Mapping[str, Any], folder: Folder) -> None:
    for tags in limits.batches(sorted(document["tags"].items()), limits.BATCH_PARAMS_OR_TAGS):
        _log_tags(mlflow_client, run_id, dict(tags))


def _finish(mlflow_client: MlflowClient, run_id: str, document: Mapping[str, Any], folder: Folder) -> None:
    status = document["status"]
    if status is None:  # an amendment leaves its run's status, unless it had to make the run itself
        if mlflow_client.get_run(run_id).info.status != "RUNNING":
            return
        status = "FINISHED"
    mlflow_client.set_terminated(run_id, status=status, end_time=document["at_ms"])


APPLY: dict[str, Callable[[MlflowClient, str, Mapping[str, Any], Folder], None]] = {
    "metrics": _metrics,
    "artifacts": _artifacts,
    "tags": _tags,
    "finish": _finish,
}


def encoded(value: float) -> float | str:
    """A metric's value as JSON can hold it: NaN and infinity by name. `float()` reads both forms back."""
    return value if math.isfinite(value) else repr(value)


def artifact_name(path: str) -> str:
    """`path` as an artifact name inside a recording. Raises ValueError where it would leave it."""
    name = PurePosixPath(path)
    if name.is_absolute() or ".." in name.parts or not name.parts:
        raise ValueError(f"{path!r} is no artifact name: give a relative path without '..'")
    return str(name)
