"""The outbox: what is to be recorded, as durable documents on disk, before MLflow is asked anything.

One folder a recording, named so that folders sort in the order in which they were begun:

    outbox/00000001-3f9a…/recording.json   what the run is: experiment, name, tags, parameters, inputs, writer
                          000001.json …    what happened, in order: metrics, artifacts, tags, finish
                          files/…          the artifacts themselves (hard links where the file system allows)
                          delivered.json   how far MLflow has it

Only files here. `delivery.py` knows MLflow.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.files import publish_folder, read_json, write_json

SCHEMA_VERSION = 1
HEADER = "recording.json"
DELIVERED = "delivered.json"
FILES = "files"
LOCK = ".lock"
REJECTED = ".rejected"
LEFTOVER_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Folder:
    """One recording's folder; reading and appending documents."""

    path: Path

    @property
    def recording_id(self) -> str:
        return self.path.name

    def header(self) -> dict[str, Any]:
        return read_json(self.path / HEADER)

    def sequences(self) -> list[int]:
        """Numbers of the documents that are there, in order."""
        return sorted(int(path.stem) for path in self.path.glob("[0-9]*.json"))

    def has(self, sequence: int) -> bool:
        return (self.path / f"{sequence:06d}.json").exists()

    def document(self, sequence: int) -> dict[str, Any]:
        return read_json(self.path / f"{sequence:06d}.json")

    def finished(self) -> bool:
        """Whether the last document closes the recording."""
        return self.finished_at((self.sequences() or [0])[-1])

    def finished_at(self, sequence: int) -> bool:
        """Whether document number `sequence`, 0 for none, closes the recording."""
        return sequence > 0 and self.document(sequence)["kind"] == "finish"

    def append(self, kind: str, at_ms: int, content: Mapping[str, Any]) -> int:
        """Add a document; returns its number. One writer a recording: the holder, or whoever closes after its death."""
        sequence = (self.sequences() or [0])[-1] + 1
        document = {"schema_version": SCHEMA_VERSION, "kind": kind, "at_ms": at_ms, **content}
        write_json(self.path / f"{sequence:06d}.json", document)
        return sequence

    def keep(self, source: Path, artifact: str) -> dict[str, Any]:
        """Keep `source` under the recording until it is delivered; returns its entry for an `artifacts` document.

        A hard link costs nothing and survives the removal of the original; on another file system it is a copy.
        """
        kept = self.path / FILES / artifact
        kept.parent.mkdir(parents=True, exist_ok=True)
        if kept.exists():
            kept.unlink()
        try:
            os.link(source, kept)
        except OSError:
            shutil.copyfile(source, kept)
        return {"path": artifact, "size": kept.stat().st_size, "sha256": sha256_file(kept)}

    def delivered(self) -> dict[str, Any]:
        """How far MLflow has this recording: `run_id`, `experiment_id`, `header`, `sequence`; empty before the first."""
        path = self.path / DELIVERED
        return read_json(path) if path.exists() else {}

    def mark_delivered(self, state: Mapping[str, Any]) -> None:
        write_json(self.path / DELIVERED, {"schema_version": SCHEMA_VERSION, **state})

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Exclusive right to deliver; yields False where another process has it, or has delivered all of it.

        The kernel frees the lock with the process.
        """
        try:
            descriptor = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            yield False
            return
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield self.path.exists()
        finally:
            os.close(descriptor)

    def discard(self) -> None:
        """Remove the recording, all at once for a reader: it vanishes under its name before its files go."""
        gone = self.path.with_name(f".gone-{self.path.name}")
        self.path.rename(gone)
        shutil.rmtree(gone)

    def reject(self) -> Path:
        """Set the recording aside for a person to look at; it is not tried again."""
        aside = self.path.parent / REJECTED / self.path.name
        aside.parent.mkdir(exist_ok=True)
        self.path.rename(aside)
        return aside


def begin(outbox: Path, header: Mapping[str, Any]) -> Folder:
    """A new recording, complete with its header or not there at all."""
    outbox.mkdir(parents=True, exist_ok=True)
    last = max((int(folder.path.name.partition("-")[0]) for folder in recordings(outbox)), default=0)
    name = f"{last + 1:08d}-{secrets.token_hex(8)}"
    temporary = outbox / f".tmp-{name}"
    temporary.mkdir()
    write_json(temporary / HEADER, {"schema_version": SCHEMA_VERSION, "recording_id": name, **header})
    publish_folder(temporary, outbox / name)
    return Folder(outbox / name)


def recordings(outbox: Path) -> list[Folder]:
    """Recordings not yet delivered in full, oldest first. One scandir; a missing outbox is an empty one."""
    try:
        with os.scandir(outbox) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith("."))
    except FileNotFoundError:
        return []
    return [Folder(outbox / name) for name in names]


def sweep(outbox: Path) -> None:
    """Remove what a killed process left half begun or half removed; young ones may still be in somebody's hands."""
    for pattern in (".gone-*", ".tmp-*"):
        for leftover in outbox.glob(pattern):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                shutil.rmtree(leftover)
