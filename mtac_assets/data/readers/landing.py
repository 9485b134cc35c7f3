"""The folder of a dataset's files, looked at again and again: which files there are, and whether each is still the same.

Belongs here: doing that cheaply. What a file's name means, and whether it is a partition already, is `data.arrivals`' matter.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Hashable
from pathlib import Path

from mtac_assets.data.readers.state import SourceError, entry_state, is_local, listing
from mtac_assets.data.readers.uri import resolve
from mtac_assets.spec.dataset import FilesSource
from mtac_assets.spec.errors import Finding

# A `stat` is what a look costs (4 to 9 µs each, measured); names and inodes come with the listing. Old files of large folders
# take turns: one that is renamed into place or is new is seen at once, one rewritten in place after an hour within a few looks.
STATS_A_LOOK = 2_000
HOT_NS = 3_600 * 1_000_000_000


class Folder:
    """The eye on a folder, for as long as a process lives."""

    def __init__(self, source: FilesSource, root: Path) -> None:
        self._source = source
        self._root = root
        self._known: dict[str, tuple[int, int, int]] = {}  # name to inode, size, modification time
        self._turn = 0

    def look(self) -> dict[str, Hashable]:
        """Every file by its path below the folder, with a value that changes when the file does.

        Files whose name begins with a dot are what other programs are still writing, and left out. SourceError where the folder is
        not there or cannot be listed.
        """
        if not is_local(self._source.url):
            entries = listing(self._source, self._root)
            return {name: entry_state(entry) for name, entry in entries.items() if not _hidden(name)}
        folder = resolve(self._source.url, self._root)
        try:
            if "/" in self._source.pattern:
                return dict(_tree(folder, ""))
            self._known = self._flat(folder)
        except OSError as error:
            raise SourceError(
                Finding(f"cannot be listed: {os.strerror(error.errno or 0)}", self._source.url, "a folder of files",
                        "make it, or correct source.url in dataset.yaml")
            ) from None  # fmt: skip
        return dict(self._known)

    def _flat(self, folder: str) -> dict[str, tuple[int, int, int]]:
        known, found = self._known, {}
        hot = time.time_ns() - HOT_NS
        turns = -(-len(known) // STATS_A_LOOK) or 1
        self._turn = (self._turn + 1) % turns
        with os.scandir(folder) as entries:
            for position, entry in enumerate(entries):
                name = entry.name
                before = known.get(name)
                if before is None or before[0] != entry.inode() or before[2] > hot or position % turns == self._turn:
                    before = None if name[0] == "." else _regular(entry)
                if before is not None:
                    found[name] = before
        return found


def _regular(entry: os.DirEntry[str]) -> tuple[int, int, int] | None:
    """Inode, size and modification time; None for what is no file, or gone since the listing."""
    try:
        status = entry.stat()
    except FileNotFoundError:
        return None
    # The inode of the entry and not of what a link points at: it is compared with the entry's at the next look.
    return (entry.inode(), status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _tree(folder: str, prefix: str) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name[0] == ".":
                continue
            if entry.is_dir():
                found |= _tree(entry.path, f"{prefix}{entry.name}/")
            elif (state := _regular(entry)) is not None:
                found[prefix + entry.name] = state
    return found


def _hidden(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".")
