"""Replay one segment: from the checkpoint at its start to its end, and say with which digest it ends.

What a reproduction runs, on as many machines as there are segments. Validation is left out: it moves no bit of the state.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mtac_assets.spec.errors import Finding
from mtac_assets.training import checkpoint, resume
from mtac_assets.training.begin import begin
from mtac_assets.training.checkpoint import History
from mtac_assets.training.checkpoint_writer import CheckpointWriter
from mtac_assets.training.determinism import require_declared
from mtac_assets.training.errors import TrainingRefused
from mtac_assets.training.inputs import Inputs
from mtac_assets.training.loop import fit
from mtac_assets.training.tensors import weights_digest


@dataclass(frozen=True)
class Replayed:
    """The state after `end_step`, by digest: `tensors` names each tensor of model, optimiser and average; `weights` the model's own."""

    start_step: int
    end_step: int
    start_digest: str
    end_digest: str
    tensors: dict[str, str]
    weights_digest: str
    weights: dict[str, str]

    def document(self) -> dict[str, Any]:
        return {"schema_version": 1, **vars(self)}


def segment_steps(digests_document: dict[str, Any], number: int) -> tuple[int, int]:
    """Start and end step of segment `number` (from 0) of a pack's `digests.json`."""
    segments = digests_document["segments"]
    if not 0 <= number < len(segments):
        raise TrainingRefused(
            Finding(
                f"there is no segment {number}", "--replay-segment", f"0 to {len(segments) - 1}", "name one of them"
            )
        )
    return segments[number]["start_step"], segments[number]["end_step"]


def replay(
    inputs: Inputs,
    checkpoints: Path,
    start: int,
    until: int,
    *,
    ignore: frozenset[str] = frozenset(),
    keep: Path | None = None,
) -> Replayed:
    """Train from the checkpoint of step `start` in `checkpoints` (from the beginning where 0) until `until` steps are done.

    `ignore` names parts of the identity that may differ (`environment`, and then `fingerprint` is not compared either). The states at
    the boundaries that are reached are kept as checkpoints in the folder `keep`, where one is named. Raises
    CheckpointForeign, TrainingRefused where there is no whole checkpoint of that step, NonFiniteLoss, FlagsDiffer.
    """
    training = inputs.resolved.recipe.training
    beginning = begin(inputs)
    initial = beginning.initial_digest
    history, start_digest = History(initial), initial
    if start > 0:
        try:
            found = checkpoint.read(checkpoints, start)
        except (checkpoint.Damaged, FileNotFoundError) as error:
            raise TrainingRefused(
                Finding(
                    f"no whole checkpoint of step {start}: {error}",
                    str(checkpoints),
                    "both of its files",
                    "fetch it again",
                )
            ) from error
        resume.require_same(found.identity, inputs.identity, checkpoints, ignore)
        beginning.state.restore(found.tensors)
        history, start_digest = found.history, found.digest
    if not start < until <= beginning.task.schedule.steps:
        raise TrainingRefused(
            Finding(
                f"step {until} cannot be reached",
                "--until-step",
                f"{start + 1} to {beginning.task.schedule.steps}",
                "correct it",
            )
        )
    parameter = next(beginning.state.model.parameters())
    with CheckpointWriter(keep, inputs.identity, history) as writer:
        fit(
            beginning.state,
            beginning.task,
            training,
            writer,
            start=start,
            until=until,
            history=history,
            validating=False,
            after_first_step=partial(require_declared, training, parameter, "after the first step"),
        )
    end_digest, tensors = weights_digest(beginning.state.tensors())
    weights, each = weights_digest(beginning.state.weights())
    return Replayed(start, until, start_digest, end_digest, tensors, weights, each)
