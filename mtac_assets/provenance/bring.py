"""Objects from one store to another, each verified before it gets its name.

Belongs here: copying what commits point at, from the source or, where it lost an object, from a file of the state. Which commits:
`share`'s and `backup`'s matter.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.provenance.pointers import Placed
from mtac_assets.provenance.store import Store, StoreError, md5_file
from mtac_assets.spec.errors import Finding, MtacError, raise_all

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

_AT_ONCE = 8  # most of the time is spent waiting for the disk, or for the other end


class ShareError(MtacError):
    """Sharing would leave a half state, or the two sides have gone different ways."""


def local_files(project: Project) -> dict[str, list[Path]]:
    """Files of the state by size, among which an object that the store lost may be found again."""
    found: dict[str, list[Path]] = {}
    for folder in (project.state.data, project.state.models, project.state.reports):
        for path in folder.rglob("*") if folder.is_dir() else ():
            if path.is_file():
                found.setdefault(str(path.stat().st_size), []).append(path)
    return found


def bring(
    wanted: Mapping[str, Iterable[Placed]], source: Store, target: Store, local: Mapping[str, list[Path]]
) -> tuple[int, int]:
    """Copy what `target` lacks from `source`, or from a file of the state; how many objects, how many bytes.

    Everything that can be had is copied; then ShareError names every file whose object cannot.
    """
    lacking = {placed.pointer.md5: placed for places in wanted.values() for placed in places}
    problems: list[Finding] = []
    count = size = 0
    coming = [
        placed for placed in sorted(lacking.values(), key=lambda each: each.path) if not target.has(placed.pointer)
    ]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        waiting = [(placed, threads.submit(_copy, placed, source, target, local)) for placed in coming]
        for placed, copied in waiting:
            try:
                copied.result()
            except StoreError as error:
                problems += [
                    Finding(f"{placed.path}: {one.error}", one.where, one.expected, one.remedy)
                    for one in error.findings
                ]
                continue
            count += 1
            size += placed.pointer.size
    raise_all(ShareError, problems)
    return count, size


def _copy(placed: Placed, source: Store, target: Store, local: Mapping[str, list[Path]]) -> None:
    pointer, final = placed.pointer, target.path(placed.pointer)
    if source.url != target.url and final is not None:
        try:
            source.get(pointer, final)  # what has arrived is digested before it gets its name
        except StoreError:
            if not _put_local(placed, target, local):
                raise
        return
    if final is None:
        with tempfile.TemporaryDirectory(prefix="mtac-share-") as folder:
            path = Path(folder) / "object"
            try:
                source.get(pointer, path)
            except StoreError:
                if not _put_local(placed, target, local):
                    raise
            else:
                target.put(path, pointer)
        return
    problem = source.problem(pointer)
    if problem is not None and not _put_local(placed, target, local):
        raise problem


def _put_local(placed: Placed, target: Store, local: Mapping[str, list[Path]]) -> bool:
    for path in local.get(str(placed.pointer.size), ()):
        if md5_file(path) == placed.pointer.md5:
            target.put(path, placed.pointer)
            return True
    return False
