"""What can go wrong in a training, and the exit code of each. No torch: the command line and Dagster read these too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mtac_assets.provenance.files import write_json
from mtac_assets.spec import clock
from mtac_assets.spec.errors import CheckFailed, Finding, MtacError

EXIT_STOPPED = 75  # EX_TEMPFAIL: stopped by SIGTERM with the state saved; the next attempt goes on
FAILURE = "failure.json"
SECONDS_VARIABLE = "MTAC_WORKER_SECONDS"
"""Environment variable: how long workers wait for one another."""


class TrainingRefused(MtacError):
    """The inputs do not fit (exit 2): nothing was trained."""


class CheckpointForeign(TrainingRefused):
    """A checkpoint of another recipe, code, data or environment."""


class TrainingFailed(CheckFailed):
    """Training began and may not end in a model (exit 1). `kind` is a word for machines."""

    kind = "failed"


class NonFiniteLoss(TrainingFailed):
    kind = "non_finite"


class LearntNothing(TrainingFailed):
    """A model that answers every row alike."""

    kind = "learnt_nothing"


class FlagsDiffer(TrainingFailed):
    kind = "flags_differ"


class OutOfMemory(TrainingFailed):
    kind = "out_of_memory"


class NotDeterministic(TrainingFailed):
    """Two processes that took the same first steps came to other bits."""

    kind = "not_deterministic"


class CodeOutsideClosure(TrainingFailed):
    kind = "code_outside_closure"


class PackInvalid(TrainingFailed):
    """A pack whose files are missing, changed or incomplete."""

    kind = "pack_invalid"


class TrainerKilled(TrainingFailed):
    """The trainer's process was ended by a signal."""

    kind = "killed"


class WorkerLost(TrainingFailed):
    """One of several workers died or fell silent; the others ended with it."""

    kind = "worker_lost"


class WorkersDiffer(TrainingFailed):
    """Workers that should hold the same bits do not."""

    kind = "workers_differ"


class TrainingStopped(MtacError):
    """SIGTERM: the state is saved and the next attempt goes on from there."""

    exit_code = EXIT_STOPPED


def failure_path(out: Path, worker: int = 0) -> Path:
    """The first worker's is the training's; the others have one each, which the launcher reads where the first has none."""
    return out / (FAILURE if worker == 0 else f"failure.worker-{worker}.json")


def write_failure(out: Path, run_id: str, error: MtacError, worker: int = 0) -> None:
    """`failure.json`: what the launcher, Dagster and a person read when there is no pack."""
    document: dict[str, Any] = {
        "schema_version": 1,
        "run_id": run_id,
        "kind": getattr(error, "kind", type(error).__name__),
        "exit_code": error.exit_code,
        "findings": [finding.document() for finding in error.findings],
        "at": clock.timestamp(),
    }
    write_json(failure_path(out, worker), document)


def read_findings(document: dict[str, Any]) -> tuple[Finding, ...]:
    return tuple(Finding(**finding) for finding in document["findings"])
