"""The large files that commits point at: every `.dvc` file below a model or a dataset, with where it stands.

Belongs here: from references to pointers. Moving the objects is `share`'s matter, checking them `verify`'s, dropping them `gc`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.store import Pointer


@dataclass(frozen=True, slots=True)
class Placed:
    """A pointer, and the path in the tree of the file that it stands for."""

    path: str
    pointer: Pointer


def pointers_of(repository: Repository, revisions: Iterable[str]) -> dict[str, list[Placed]]:
    """Revision to the pointers in its tree. A pointer that is shared by many revisions is read once."""
    blobs: dict[str, dict[str, str]] = {}
    for revision in revisions:
        tree = repository.list_tree(revision)
        blobs[revision] = {path: blob for path, blob in tree.items() if path.endswith(".dvc")}
    content = repository.read(blob for tree in blobs.values() for blob in tree.values())
    parsed = {
        blob: Pointer.parse(data, blob) for blob, data in content.items() if data is not None and _is_pointer(data)
    }
    return {
        revision: [
            Placed(path.removesuffix(".dvc"), parsed[blob]) for path, blob in sorted(tree.items()) if blob in parsed
        ]
        for revision, tree in blobs.items()
    }


def _is_pointer(data: bytes) -> bool:
    """Whether it stands for one file; a project's own `.dvc` files may stand for folders or imports, and are not ours."""
    return data.count(b"md5:") == 1 and b".dir\n" not in data and b"path:" in data
