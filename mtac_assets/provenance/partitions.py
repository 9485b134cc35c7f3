"""Which partitions a model needs, and the content digests of those that are there.

Belongs here: manifests read as documents, and whether the files they vouch for are intact. Reading rows is `data`'s matter;
this module must answer for 20,000 partitions in a blink and imports no dataframe library.

Intact means: the file's SHA-256 equalled the manifest's once, and size, inode and modification time of both are unchanged since.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance.digest import digest_json, sha256_file
from mtac_assets.provenance.document import parse_object, read_object
from mtac_assets.provenance.files import FileState, write_atomic
from mtac_assets.provenance.memory import RACY_NS, Memory
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

SCHEMA_VERSION = 2  # of the cache
ALL = "all"  # the key of a dataset without time


class PartitionDamagedError(MtacError):
    """A partition's file is not the one that its manifest vouches for."""


@dataclass(frozen=True)
class Needed:
    """Dataset to partition keys. `training` decides the weights; `test` is only judged on; `everything` is both."""

    training: Mapping[str, tuple[str, ...]]
    test: Mapping[str, tuple[str, ...]]

    @property
    def everything(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(dict.fromkeys((*keys, *self.test.get(name, ())))) for name, keys in self.training.items()}


@dataclass(frozen=True)
class Known:
    """What a model needs, and the content digests (`<dataset>/<key>`) of what of it is there."""

    needed: Needed
    digests: Mapping[str, str]


def needed(project: Project, resolved: ResolvedRecipe) -> Needed:
    """Partitions of the rows dataset and the lookups: history, training and validation days; test days apart.

    Days outside a lookup's own range are left out (its source has none); those of the rows dataset stay, so that a missing
    one is noticed. A dataset without time has the one key `all`.
    """
    windows = resolved.windows()
    spans = spans_of(project, resolved)
    training = (*windows.history, *windows.train, *windows.validate)
    return Needed(
        training={name: span.within(training) for name, span in spans.items()},
        test={name: span.within(windows.test) for name, span in spans.items()},
    )


@dataclass(frozen=True, slots=True)
class Span:
    """The days that a dataset reaches over, both inclusive. `daily` False: it has the one key `all`."""

    daily: bool
    first: str | None = None
    last: str | None = None

    def within(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Those of `keys` that the dataset can have, each once."""
        if not self.daily:
            return (ALL,)
        first, last = self.first or "", self.last
        return tuple(dict.fromkeys(key for key in keys if first <= key and (last is None or key <= last)))


def spans_of(project: Project, resolved: ResolvedRecipe) -> dict[str, Span]:
    """The span of each dataset that the recipe reads; the rows dataset's own has no bounds, so that gaps are noticed."""
    names = _dataset_names(resolved)
    spans = {name: _span(project, name) for name in names}
    return spans | {names[0]: Span(spans[names[0]].daily)}


def _dataset_names(resolved: ResolvedRecipe) -> list[str]:
    """The rows dataset, then the lookups, each once."""
    data = resolved.identity_document()["data"]  # the typed recipe would have to be built first
    return list(dict.fromkeys((data["rows"], *data["lookups"])))


def content_digests(data_dir: Path, wanted: Mapping[str, Iterable[str]], cache: Path | None = None) -> dict[str, str]:
    """`<dataset>/<key>` to content digest, for those of `wanted` that are there.

    With a `cache` folder the partition's file must be there and intact, or PartitionDamagedError names it; without one the
    manifest's word is taken (a model's commit holds manifests alone; who reads the rows verifies them).
    """
    found: dict[str, str] = {}
    for dataset, keys in wanted.items():
        if cache is None:
            for key in keys:
                manifest = read_manifest(data_dir, dataset, key)
                if manifest is not None:
                    found[f"{dataset}/{key}"] = manifest["content_digest"]
        else:
            known = _intact(data_dir, dataset, keys, cache / f"partitions-{dataset}.json")
            found.update((name, digest) for name, (digest, _) in known.items())
    return found


def digests_and_contracts(
    data_dir: Path, dataset: str, keys: Iterable[str], cache: Path
) -> dict[str, tuple[str, str | None]]:
    """`<dataset>/<key>` to content digest and to the contract that this content was stamped under, None without a stamp.

    As `content_digests` with a cache, in the same one pass over the files.
    """
    return _intact(data_dir, dataset, keys, cache / f"partitions-{dataset}.json")


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


def _intact(data_dir: Path, dataset: str, keys: Iterable[str], cache: Path) -> dict[str, tuple[str, str | None]]:
    """`<dataset>/<key>` to content digest and stamped contract, with three `stat` for what was verified before.

    Written for 20,000 partitions.
    """
    known = _recall(cache)
    prefix = f"{data_dir}{os.sep}{dataset}{os.sep}"
    found: dict[str, tuple[str, str | None]] = {}
    fresh: dict[str, list[Any]] = {}
    stat = os.stat
    for key in keys:
        try:
            file, manifest = stat(f"{prefix}{key}.parquet"), stat(f"{prefix}{key}.json")
        except FileNotFoundError:
            continue
        state = [file.st_size, file.st_ino, file.st_mtime_ns, manifest.st_size, manifest.st_ino, manifest.st_mtime_ns]
        newest = max(file.st_mtime_ns, manifest.st_mtime_ns)
        try:
            stamp = stat(f"{prefix}{key}.stamp.json")
        except FileNotFoundError:
            state.append(0)
        else:
            state += [stamp.st_size, stamp.st_ino, stamp.st_mtime_ns]
            newest = max(newest, stamp.st_mtime_ns)
        entry = known.get(key)
        if entry is None or entry[0] != state:
            digest = _verified(data_dir, dataset, key)
            if digest is None:
                continue
            contract = _stamped(data_dir, dataset, key, digest)
            if time.time_ns() - newest > RACY_NS:
                fresh[key] = [state, digest, contract]
            found[f"{dataset}/{key}"] = digest, contract
        else:
            found[f"{dataset}/{key}"] = entry[1], entry[2]
    if fresh:
        document = {"schema_version": SCHEMA_VERSION, "entries": known | fresh}
        write_atomic(cache, json.dumps(document, separators=(",", ":")).encode())
    return found


def _stamped(data_dir: Path, dataset: str, key: str, content: str) -> str | None:
    """The contract of the stamp, if it is a stamp of this content."""
    stamp = read_object(data_dir / dataset / f"{key}.stamp.json")
    return stamp.get("contract_digest") if stamp is not None and stamp.get("content_digest") == content else None


def _recall(cache: Path) -> dict[str, list[Any]]:
    try:
        return _recalled(cache, FileState.of(cache))
    except FileNotFoundError:
        return {}


@lru_cache(maxsize=8)
def _recalled(cache: Path, state: FileState) -> dict[str, list[Any]]:
    del state  # another state, another content: the cache is only ever replaced whole
    document = read_object(cache)  # only a shortcut: without it every file is digested again
    return document["entries"] if document is not None and document.get("schema_version") == SCHEMA_VERSION else {}


def _verified(data_dir: Path, dataset: str, key: str) -> str | None:
    manifest = read_manifest(data_dir, dataset, key)
    if manifest is None:
        return None
    path = data_dir / dataset / f"{key}.parquet"
    if path.stat().st_size != manifest["file_size"] or sha256_file(path) != manifest["file_sha256"]:
        raise _damaged(path, "its bytes are not those that its manifest vouches for")
    return manifest["content_digest"]


def first_days(project: Project, resolved: ResolvedRecipe) -> list[str | None]:
    """The first day of each dataset that the recipe reads; None for one without time."""
    return [_span(project, name).first for name in _dataset_names(resolved)]


def column_roles(project: Project, resolved: ResolvedRecipe) -> dict[str, str]:
    """Dataset to the digest of what its `dataset.yaml` says of columns: key, event time, outcomes. Features depend on it."""
    return {name: _read_dataset(project, name)[3] for name in _dataset_names(resolved)}


def _span(project: Project, dataset: str) -> Span:
    daily, first, last, _ = _read_dataset(project, dataset)
    return Span(daily, first, last)


def _read_dataset(project: Project, dataset: str) -> tuple[bool, str | None, str | None, str]:
    """Whether it is daily, its first and last day, and the digest of its columns' roles; remembered by the file's state."""
    file = project.datasets().get(dataset)
    memory = Memory(project.state.cache / "dataset-files.json")
    state = FileState.of(file) if file is not None else None
    kept: list[Any] | None = memory.get(str(file), state) if state is not None else None
    if kept is None:
        from mtac_assets.spec.dataset import DailyPartitions
        from mtac_assets.spec.load import load_dataset

        found = load_dataset(project, dataset)
        cut = found.partitions
        roles = digest_json(found.model_dump(mode="json", include={"key", "event_time", "outcome_columns"}))
        daily = isinstance(cut, DailyPartitions)
        kept = [daily, cut.start.isoformat() if daily else None, cut.end.isoformat() if daily and cut.end else None]
        kept.append(roles)
        if state is not None:
            memory.put(str(file), state, value=kept)
            memory.save()
    return kept[0], kept[1], kept[2], kept[3]


def _damaged(path: Path, error: str) -> PartitionDamagedError:
    return PartitionDamagedError(
        Finding(
            error,
            str(path),
            "an untouched partition",
            "remove the partition and ingest it again, or pull it from the DVC remote",
        )
    )
