"""Partitions' manifests as documents, and whether the files that they vouch for are intact. Written for 20,000 of them.

Intact means: the file's SHA-256 equalled the manifest's once, and its size, inode and modification time are unchanged since.
A manifest and a stamp are only ever replaced by renaming, which moves the folder's own modification time: while that stands
still, one `stat` a partition says all. Where it moved, each manifest and stamp is asked as well.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.document import parse_object, read_object
from mtac_assets.provenance.files import FileState, settled, write_atomic
from mtac_assets.spec.errors import Finding, MtacError

SCHEMA_VERSION = 3  # of the cache
# State of the file, of manifest and stamp, the content digest, the stamp's contract, and the look at the folder that saw it so.
Entry = list[Any]
UNSEEN = -1


class PartitionDamagedError(MtacError):
    """A partition's file is not the one that its manifest vouches for."""


def read_manifest(data_dir: Path, dataset: str, key: str) -> dict[str, Any] | None:
    """The partition's manifest, or None where there is none. MtacError where it cannot be read."""
    path = data_dir / dataset / f"{key}.json"
    try:
        document = parse_object(path.read_bytes())
    except FileNotFoundError:
        return None
    if document is None:
        raise _damaged(path, "the manifest is no JSON object")
    if document.get("schema_version") != 1 or not isinstance(document.get("content_digest"), str):
        raise _damaged(path, "the manifest lacks schema_version 1 or a content_digest")
    return document


def intact(data_dir: Path, dataset: str, keys: Iterable[str], cache: Path) -> dict[str, tuple[str, str | None]]:
    """`<dataset>/<key>` to content digest and to the contract that this content was stamped under, None without a stamp.

    Raises PartitionDamagedError where a file is not what its manifest vouches for.
    """
    kept = _Kept.recall(cache / f"partitions-{dataset}.json")
    found: dict[str, tuple[str, str | None]] = {}
    fresh: dict[str, Entry] = {}
    prefix = f"{dataset}/"
    stat, entries = os.stat, kept.entries
    with _opened(data_dir / dataset) as folder:
        if folder is None:
            return {}
        look = kept.look_at(os.fstat(folder))
        for key in keys:
            try:
                status = stat(f"{key}.parquet", dir_fd=folder)
            except FileNotFoundError:
                continue
            state = f"{status.st_size} {status.st_ino} {status.st_mtime_ns}"
            entry = entries.get(key)
            if entry is None or entry[0] != state or entry[4] != look or look == UNSEEN:
                seen = _look(data_dir, dataset, key, state, entry, folder)
                if seen is None:
                    continue
                renewed: Entry = [*seen[0], look]
                if seen[1] and renewed != entry:
                    fresh[key] = renewed
                entry = renewed
            found[prefix + key] = entry[2], entry[3]
    if fresh:
        kept.save(fresh)
    return found


class _Kept:
    """What was found out before. `look` counts the states in which the folder was seen; only the newest one is known."""

    def __init__(self, path: Path, document: dict[str, Any] | None) -> None:
        self._path = path
        known = document if document is not None and document.get("schema_version") == SCHEMA_VERSION else {}
        self.entries: dict[str, Entry] = known.get("entries", {})
        self._folder: str | None = known.get("folder")
        self._look: int = known.get("look", 0)

    @classmethod
    def recall(cls, path: Path) -> _Kept:
        """Only a shortcut: without the file every partition is digested again."""
        try:
            return cls(path, _recalled(path, FileState.of(path)))
        except FileNotFoundError:
            return cls(path, None)

    def look_at(self, status: os.stat_result) -> int:
        """The number of this look: the last one's where the folder stands as it did; UNSEEN where it moved only just now."""
        if not settled(status.st_mtime_ns):
            return UNSEEN
        folder = f"{status.st_ino} {status.st_mtime_ns}"
        if folder != self._folder:
            self._folder, self._look = folder, self._look + 1
        return self._look

    def save(self, fresh: dict[str, Entry]) -> None:
        document = {
            "schema_version": SCHEMA_VERSION,
            "folder": self._folder,
            "look": self._look,
            "entries": self.entries | fresh,
        }
        write_atomic(self._path, json.dumps(document, separators=(",", ":")).encode())


@lru_cache(maxsize=8)
def _recalled(path: Path, state: FileState) -> dict[str, Any] | None:
    del state  # another state, another content: the file is only ever replaced whole
    return read_object(path)


def _look(
    data_dir: Path, dataset: str, key: str, state: str, entry: Entry | None, folder: int
) -> tuple[Entry, bool] | None:
    """A partition's entry without its look, and whether its files are old enough to be remembered; None without a manifest."""
    documents, newest = _documents(key, folder)
    if documents is None:
        return None
    old_enough = settled(max(newest, int(state.rpartition(" ")[2])))
    if entry is not None and entry[:2] == [state, documents]:
        return entry[:4], old_enough
    digest = _verified(data_dir, dataset, key)
    return (
        None if digest is None else ([state, documents, digest, _stamped(data_dir, dataset, key, digest)], old_enough)
    )


def _documents(key: str, folder: int) -> tuple[str | None, int]:
    """States of a partition's manifest and stamp in words, None without a manifest; and when the newer one was written."""
    try:
        manifest = os.stat(f"{key}.json", dir_fd=folder)
    except FileNotFoundError:
        return None, 0
    words = f"{manifest.st_size} {manifest.st_ino} {manifest.st_mtime_ns}"
    try:
        stamp = os.stat(f"{key}.stamp.json", dir_fd=folder)
    except FileNotFoundError:
        return words, manifest.st_mtime_ns
    newest = max(manifest.st_mtime_ns, stamp.st_mtime_ns)
    return f"{words} {stamp.st_size} {stamp.st_ino} {stamp.st_mtime_ns}", newest


def _stamped(data_dir: Path, dataset: str, key: str, content: str) -> str | None:
    """The contract of the stamp, if it is a stamp of this content."""
    stamp = read_object(data_dir / dataset / f"{key}.stamp.json")
    return stamp.get("contract_digest") if stamp is not None and stamp.get("content_digest") == content else None


def _verified(data_dir: Path, dataset: str, key: str) -> str | None:
    manifest = read_manifest(data_dir, dataset, key)
    if manifest is None:
        return None
    path = data_dir / dataset / f"{key}.parquet"
    if path.stat().st_size != manifest["file_size"] or sha256_file(path) != manifest["file_sha256"]:
        raise _damaged(path, "its bytes are not those that its manifest vouches for")
    return manifest["content_digest"]


@contextmanager
def _opened(folder: Path) -> Generator[int | None]:
    """A descriptor of the folder, for a name is found faster from there than a path from the root; None where it is not there."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _damaged(path: Path, error: str) -> PartitionDamagedError:
    return PartitionDamagedError(
        Finding(
            error,
            str(path),
            "an untouched partition",
            "remove the partition and ingest it again, or pull it from the DVC remote",
        )
    )
