"""Where a training goes on: the newest checkpoint that is whole and its own. A damaged one is reported, a foreign one refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from mtac_assets.spec.errors import Finding
from mtac_assets.training import checkpoint
from mtac_assets.training.checkpoint import Checkpoint, Identity
from mtac_assets.training.errors import CheckpointForeign, TrainingRefused


def newest(folder: Path, identity: Identity, report: Callable[[str], None]) -> Checkpoint | None:
    """The newest whole checkpoint of `identity` in `folder`, None where there is none.

    Damaged ones are told to `report` and removed: their stretch is trained again. Raises CheckpointForeign.
    """
    for name in checkpoint.clean(folder):
        report(f"removed {name}, left by a writer that was killed")
    for step in checkpoint.steps_in(folder):
        try:
            found = checkpoint.read(folder, step)
        except checkpoint.Damaged as damage:
            report(f"checkpoint of step {step} is damaged and not used: {damage}")
            checkpoint.remove(folder, step)
            continue
        require_same(found.identity, identity, folder)
        return found
    return None


def require_same(found: Identity, expected: Identity, folder: Path, ignore: frozenset[str] = frozenset()) -> None:
    """CheckpointForeign, with a finding for each part that differs. `ignore` names parts that may."""
    parts = [part.name for part in fields(Identity) if part.name != "fingerprint" and part.name not in ignore]
    differing = [part for part in parts if getattr(found, part) != getattr(expected, part)]
    if differing:
        raise CheckpointForeign(
            *(
                Finding(
                    f"the checkpoint belongs to another {part.replace('_', ' ')}: digest {getattr(found, part)[:12]}",
                    str(folder),
                    f"digest {getattr(expected, part)[:12]}",
                    "train into another folder, or remove these checkpoints",
                )
                for part in differing
            )
        )


def require_empty(folder: Path) -> None:
    """Without --resume there must be nothing to resume: a checkpoint is never overwritten unasked."""
    steps = checkpoint.steps_in(folder)
    if steps:
        raise TrainingRefused(
            Finding(
                f"there is a checkpoint of step {steps[0]}",
                str(folder),
                "no checkpoint, or --resume",
                "pass --resume to go on from it, or train into another folder",
            )
        )
