"""A DVC remote that is a folder of this machine: objects are put there and read back without DVC.

DVC's import and its push of a quarter's days took 1 s of the first ingest. The layout is DVC's own, as are the objects' names and
their protection, so that its `pull`, `push` and `status` go on from what is put here. Remotes that are elsewhere are DVC's matter.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from mtac_assets.data.ingest_write import sync_together
from mtac_assets.provenance.files import AtomicBatch
from mtac_assets.provenance.store import LAYOUT, Pointer

PROTECTED = 0o444


def place(objects: Path, pointer: Pointer) -> Path:
    """Where an object lies below a folder of objects: a remote's, or the cache's."""
    return objects / pointer.md5[:2] / pointer.md5[2:]


def put(remote: Path, files: Iterable[tuple[Path, Pointer]]) -> None:
    """Copy each file to the object of its pointer, all of them synced before the first appears. One of the right size that is there
    stays: whoever reads it back says whether it is whole. Raises OSError."""
    with AtomicBatch() as batch:
        copies: list[Path] = []
        for path, pointer in files:
            final = place(remote / LAYOUT, pointer)
            if final.is_file() and final.stat().st_size == pointer.size:
                continue
            copies.append(batch.path(final))
            shutil.copyfile(path, copies[-1])
            copies[-1].chmod(PROTECTED)
        sync_together(copies)


def read(remote: Path, pointer: Pointer) -> BinaryIO:
    """The object, opened to be read in full. Raises FileNotFoundError."""
    return place(remote / LAYOUT, pointer).open("rb")
