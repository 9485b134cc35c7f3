"""Checkpoints: the full state at a step, written so that a kill at any moment leaves the one before intact.

Two files each: the tensors (safetensors) and a document, written last, that carries the tensors' digest, its own, and the identity of
the training. Nothing is ever unpickled. Which one to resume from, and what to do about a damaged or foreign one, is `resume`'s matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from mtac_assets.provenance.digest import digest_json, sha256_bytes, sha256_file
from mtac_assets.provenance.files import TEMPORARY_PREFIX, json_bytes, read_json, write_atomic
from mtac_assets.spec import clock
from mtac_assets.training.segments import Segment
from mtac_assets.training.state import Tensors
from mtac_assets.training.tensors import weights_digest

SCHEMA_VERSION = 1
FOLDER = "checkpoints"
_NAME = re.compile(r"step-(\d{10})\.json")


@dataclass(frozen=True)
class Identity:
    """What a checkpoint belongs to. `fingerprint` covers the parts; they say which of them differs."""

    fingerprint: str
    recipe: str
    code: str
    data: str
    environment: str
    training_set: str


@dataclass(frozen=True)
class History:
    """What was measured up to a step: deterministic, so that a resumed training ends with the same documents."""

    initial_digest: str
    segments: tuple[Segment, ...] = ()
    curve: tuple[dict[str, Any], ...] = ()
    validations: tuple[dict[str, Any], ...] = ()
    losses: tuple[float, ...] = ()  # of every step: where two trainings part shows here first


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read back and verified."""

    step: int
    digest: str
    identity: Identity
    history: History
    tensors: Tensors = field(repr=False)


class Damaged(Exception):
    """A checkpoint whose bytes are not those that were written. The message says which and how."""


def document_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:010d}.json"


def tensors_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:010d}.safetensors"


def steps_in(folder: Path) -> list[int]:
    """Steps of which a document is there, newest first; nothing is opened."""
    names = (_NAME.fullmatch(path.name) for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted((int(match[1]) for match in names if match), reverse=True)


def write(
    folder: Path, step: int, tensors: Mapping[str, Tensor], digest: str, identity: Identity, history: History
) -> None:
    """Both files, atomically, the document last. `digest` is the state's (`weights_digest(tensors)[0]`)."""
    data = safetensors.torch.save(dict(tensors))
    write_atomic(tensors_path(folder, step), data)
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "step": step,
        "sha256": sha256_bytes(data),
        "state_digest": digest,
        "identity": vars(identity),
        "initial_digest": history.initial_digest,
        "segments": [segment.document() for segment in history.segments],
        "curve": list(history.curve),
        "validations": list(history.validations),
        "losses": list(history.losses),
        "written_at": clock.timestamp(),
    }
    write_atomic(document_path(folder, step), json_bytes({**document, "digest": digest_json(document)}))


def read_document(folder: Path, step: int) -> dict[str, Any]:
    """The document at `step`, its own digest verified. Raises Damaged."""
    path = document_path(folder, step)
    try:
        document = read_json(path)
        own = document.pop("digest")
    except (ValueError, KeyError, AttributeError) as error:
        raise Damaged(f"{path.name} is no checkpoint document: {error}") from error
    if digest_json(document) != own:
        raise Damaged(f"{path.name} does not match its own digest")
    return document


def read(folder: Path, step: int) -> Checkpoint:
    """The checkpoint at `step`, every digest verified. Raises Damaged."""
    document = read_document(folder, step)
    path = tensors_path(folder, step)
    if not path.is_file():
        raise Damaged(f"{path.name} is missing")
    if sha256_file(path) != document["sha256"]:
        raise Damaged(f"{path.name} has {path.stat().st_size} bytes whose SHA-256 is not the recorded one")
    tensors = safetensors.torch.load_file(path)
    if weights_digest(tensors)[0] != document["state_digest"]:
        raise Damaged(f"{path.name} holds other tensors than its document says")
    history = History(
        document["initial_digest"],
        tuple(Segment(**segment) for segment in document["segments"]),
        tuple(document["curve"]),
        tuple(document["validations"]),
        tuple(document["losses"]),
    )
    return Checkpoint(document["step"], document["state_digest"], Identity(**document["identity"]), history, tensors)


def remove(folder: Path, step: int) -> None:
    """The document first: tensors without one are a leftover, a document without tensors would be damage."""
    document_path(folder, step).unlink(missing_ok=True)
    tensors_path(folder, step).unlink(missing_ok=True)


def clean(folder: Path) -> list[str]:
    """Remove what a killed writer left: temporary files, and tensors without a document. Their names."""
    if not folder.is_dir():
        return []
    known = {tensors_path(folder, step).name for step in steps_in(folder)}
    leftover = [
        path
        for path in folder.iterdir()
        if path.name.startswith(TEMPORARY_PREFIX) or (path.suffix == ".safetensors" and path.name not in known)
    ]
    for path in leftover:
        path.unlink()
    return sorted(path.name for path in leftover)
