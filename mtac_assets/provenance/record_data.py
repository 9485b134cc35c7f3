"""A dataset's own history: each ingest run becomes a commit, written with plumbing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance import refs
from mtac_assets.provenance.digest import canonical_json
from mtac_assets.provenance.files import FileState, settled
from mtac_assets.provenance.git import DATA, Repository
from mtac_assets.spec import clock

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


def record_data(
    project: Project,
    dataset: str,
    keys: Iterable[str],
    *,
    trigger: str = "person",
    actor: str = "",
    evidence: Mapping[str, Any] | None = None,
) -> str | None:
    """One commit on `refs/mtac/data/<dataset>` with the pointers, manifests and stamps of all partitions, after an ingest run
    that wrote `keys`. The commit's id; None where nothing changed since the last one."""
    repository = Repository.at(project.root)
    folder, reference = project.state.data / dataset, DATA + dataset
    blobs = _documents(repository, folder)
    there = _objects(repository, [reference, f"{reference}^{{tree}}", *blobs.values()])
    new = [name for name, blob in blobs.items() if there[blob] is None]
    blobs |= zip(new, repository.blobs([(folder / name).read_bytes() for name in new]), strict=True)
    before, tree = there[reference], _tree(repository, dataset, blobs)
    if tree == there[f"{reference}^{{tree}}"]:
        return None
    written = sorted(keys)
    document = {
        "schema_version": refs.SCHEMA_VERSION,
        "dataset": dataset,
        "partitions": written,
        "at": clock.timestamp(),
        "trigger": trigger,
        "actor": actor,
        "evidence": dict(evidence or {}),
    }
    span = f"{written[0]} to {written[-1]}" if len(written) > 1 else "".join(written)
    message = f"{dataset}: {len(written)} partitions {span}\n\n{canonical_json(document).decode()}\n"
    commit = repository.commit(tree, [before] if before else [], message)
    repository.move(reference, commit, before)
    return commit


def _documents(repository: Repository, folder: Path) -> dict[str, str]:
    """Name to blob id of every pointer, manifest and stamp in `folder`. All but a few are as they were at the last commit."""
    found: dict[str, str] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.endswith((".json", ".parquet.dvc")):
                continue
            status = entry.stat()
            state = FileState(status.st_size, status.st_ino, status.st_mtime_ns)
            known = _ids.get(entry.path)
            if known is not None and known[0] == state:
                found[entry.name] = known[1]
                continue
            found[entry.name] = repository.object_id("blob", Path(entry.path).read_bytes())
            if settled(state.mtime_ns):
                _ids[entry.path] = state, found[entry.name]
    return found


_ids: dict[str, tuple[FileState, str]] = {}  # by file: how it was, and its blob's id


def _objects(repository: Repository, names: Iterable[str]) -> dict[str, str | None]:
    """The object that each name (an id, a reference, a revision) stands for, through one process; None where there is none."""
    wanted = list(dict.fromkeys(names))
    lines = "".join(f"{name}\n" for name in wanted).encode()
    found = repository.text("cat-file", "--batch-check=%(objectname)", data=lines).splitlines()
    return {name: None if " " in line else line for name, line in zip(wanted, found, strict=True)}


def _tree(repository: Repository, folder: str, blobs: Mapping[str, str]) -> str:
    """Write the tree of one folder with these blobs (name to id), through one process; its id."""
    named = sorted((name.encode(), blob) for name, blob in blobs.items())
    inner = repository.object_id(
        "tree", b"".join(b"100644 %b\0%b" % (name, bytes.fromhex(blob)) for name, blob in named)
    )
    lines = b"".join(b"100644 blob %b\t%b\0" % (blob.encode(), name) for name, blob in named)
    above = f"\x00040000 tree {inner}\t{folder}\0".encode()
    return repository.text("mktree", "-z", "--batch", data=lines + above).split()[-1]
