"""From a finished loop to a sealed pack: its documents, written once, and the seal over them. What the files mean: docs/training.md."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch

from mtac_assets.provenance import environment
from mtac_assets.provenance.files import write_atomic, write_json
from mtac_assets.provenance.usage import Usage
from mtac_assets.training import checkpoint, flags, pack
from mtac_assets.training.begin import Beginning
from mtac_assets.training.checkpoint import History
from mtac_assets.training.inputs import Inputs
from mtac_assets.training.loop import Outcome
from mtac_assets.training.pack import Pack
from mtac_assets.training.state import SwappedIn, Tensors
from mtac_assets.training.tensors import weights_digest


@dataclass(frozen=True)
class Result:
    """What a loop came to: the model's weights, their digest, each tensor's, and the golden rows (of workers that ask the model)."""

    weights: Tensors
    digest: str
    tensors: dict[str, str]
    golden: dict[str, Any]


def result(beginning: Beginning) -> Result:
    """All workers ask at the same time. They hold one model; that they still do is worth one digest."""
    state = beginning.state
    weights = state.weights()
    digest, each = weights_digest(weights)
    state.workers.require_same(digest, "the weights after the last step")
    golden: dict[str, Any] = {}
    if state.validates_here:
        with SwappedIn(state):
            golden = beginning.task.golden(state.model)
    return Result(weights, digest, each, golden)


def write_pack(
    inputs: Inputs,
    out: Path,
    run_id: str,
    beginning: Beginning,
    ended: Result,
    outcome: Outcome,
    flags_seen: dict[str, str],
    seconds: dict[str, float],
    notes: list[str],
    resumed_at: int,
    used: Usage,
    attempts: int,
) -> Pack:
    """Every document of the pack, the weights, and last of all the seal."""
    recipe = inputs.resolved.recipe
    documents: dict[str, dict[str, Any]] = {
        "model.json": {
            "schema_version": 1,
            "kind": recipe.model.kind,
            "settings": recipe.model.settings,
            **beginning.task.inputs_document(),
            "parameters": sum(parameter.numel() for parameter in beginning.state.model.parameters()),
        },
        "training.json": {
            "schema_version": 1,
            "run_id": run_id,
            "steps": outcome.step,
            "epochs": recipe.training.epochs,
            "rows": beginning.task.schedule.rows or outcome.step * recipe.training.batch_size,
            "training_set": inputs.manifest["digest"],
            "curve": _curve(outcome.history),
            "seconds": round(seconds["total"], 3),
            "loop_seconds": round(seconds["loop"], 3),
            "rows_per_second": round(
                (outcome.step - resumed_at) * recipe.training.batch_size / max(seconds["loop"], 1e-9), 1
            ),
            "peak_memory_bytes": used.peak_memory_bytes,
            "usage": used.document(),
            "attempts": attempts,
            "resumed_at": resumed_at,
            "notes": notes,
        },
        "environment.json": {
            "schema_version": 1,
            "declared": _declared_environment(inputs),
            "declared_flags": flags.declared(recipe.training),
            "observed_flags": flags_seen,
            "observed": environment.observed(),
        },
        "digests.json": {
            "schema_version": 1,
            "weights_digest": ended.digest,
            "tensors": ended.tensors,
            "initial_digest": outcome.history.initial_digest,
            "segments": [segment.document() for segment in outcome.history.segments],
        },
        "losses.json": {"schema_version": 1, "losses": list(outcome.history.losses)},
        "golden.json": ended.golden,
    }
    write_atomic(out / pack.WEIGHTS, safetensors.torch.save(ended.weights))
    for name, document in documents.items():
        write_json(out / name, document)
    # The last state starts no segment; its weights are the model.
    checkpoint.remove(out / checkpoint.FOLDER, outcome.step)
    return pack.seal(out, inputs.model_id, inputs.fingerprint, ended.digest)


def _curve(history: History) -> list[dict[str, Any]]:
    """Training and validation in one list by step; a validation is `{"step", "validation": {...}}`."""
    validated = [
        {"step": found["step"], "validation": {name: value for name, value in found.items() if name != "step"}}
        for found in history.validations
    ]
    return sorted([*history.curve, *validated], key=lambda point: point["step"])


def _declared_environment(inputs: Inputs) -> dict[str, str]:
    prefix = "environment."
    leaves: dict[str, str] = inputs.declaration["leaves"]
    return {name.removeprefix(prefix): value for name, value in leaves.items() if name.startswith(prefix)}
