"""Files that are never partial under their final name: temporary file, fsync, rename, fsync of the folder.

Everything that the system keeps is written through this module and nowhere else.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

TEMPORARY_PREFIX = ".tmp-"
UNSYNCED_VARIABLE = "MTAC_UNSYNCED"
"""A folder, set by a replay for its own processes: what they write in it can be made again, and is not synced. Killing them loses
nothing by it; a machine that loses its power may lose the replay. Everything outside that folder is synced as ever."""
RACY_NS = 2_000_000_000  # the coarsest file systems count in two seconds
_SYNCS = 16


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells cheaply that a file is still the one that was digested: size, inode and modification time."""

    size: int
    inode: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path | str) -> FileState:
        status = os.stat(path)
        return cls(status.st_size, status.st_ino, status.st_mtime_ns)

    @classmethod
    def find(cls, path: Path | str) -> FileState | None:
        """As `of`; None where there is nothing."""
        try:
            return cls.of(path)
        except (FileNotFoundError, NotADirectoryError):
            return None


_racy_ns = [RACY_NS]


def settled(mtime_ns: int) -> bool:
    """Whether a file of this modification time, as the file system tells it, was written long enough ago for its state to prove
    something: one written just now could change again without its time moving."""
    return time.time_ns() - mtime_ns >= _racy_ns[0]


def trust_times_of(folder: Path) -> None:
    """For the rest of this process only files of the file system of `folder` are asked about: `settled` waits for ten of its measured
    steps, where these are short. A process that reads what it has written itself would else wait, or read again, for seconds."""
    probe = temporary_path(folder / "time")
    times: set[int] = set()
    until = time.monotonic() + 0.2
    try:
        while len(times) < 5 and time.monotonic() < until:
            probe.write_bytes(b"")
            times.add(probe.stat().st_mtime_ns)
    finally:
        probe.unlink(missing_ok=True)
    ordered = sorted(times)
    if len(ordered) == 5 and abs(time.time_ns() - ordered[-1]) < 1e9:
        longest = max(after - before for before, after in pairwise(ordered))
        _racy_ns[0] = min(10 * longest, RACY_NS)


def temporary_path(final: Path) -> Path:
    """A name beside `final`, on the same file system, that no reader takes for a result."""
    return final.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(6)}-{final.name}")


def fsync_folder(folder: Path) -> None:
    _fsync(folder)


def fsync_file(path: Path) -> None:
    _fsync(path)


def _fsync(path: Path) -> None:
    unsynced = os.environ.get(UNSYNCED_VARIABLE)
    if unsynced and path.is_relative_to(unsynced):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_path(final: Path) -> Generator[Path]:
    """A temporary path to write to; it becomes `final` when the block ends well, and is removed when it does not."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(final)
    try:
        yield temporary
        fsync_file(temporary)
        temporary.replace(final)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(final.parent)


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds the old bytes or all of the new ones, whatever happens meanwhile."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def json_bytes(document: Any) -> bytes:
    """A JSON document as stored: indented, sorted, final newline; readable in a Git diff. NaN is refused."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json(path: Path, document: Any) -> None:
    write_atomic(path, json_bytes(document))


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


class AtomicBatch:
    """Many files published together: all are written and synced under temporary names, then renamed in the order added.

    A reader may see some of the files new and some old; put what vouches for the others (a manifest) last.
    Leaving the block by an exception removes the temporary files and changes nothing.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[Path, Path]] = []

    def __enter__(self) -> AtomicBatch:
        return self

    def path(self, final: Path) -> Path:
        """Where to write what will be `final`."""
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_path(final)
        self._pending.append((temporary, final))
        return temporary

    def add(self, final: Path, data: bytes) -> None:
        self.path(final).write_bytes(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for temporary, _ in self._pending:
                    fsync_file(temporary)
                for temporary, final in self._pending:
                    temporary.replace(final)
                _fsync_folders({final.parent for _, final in self._pending})
        finally:
            for temporary, _ in self._pending:
                temporary.unlink(missing_ok=True)


def _fsync_folders(folders: set[Path]) -> None:
    """Side by side where there are many (a store has 256): the file system then commits them together."""
    if len(folders) == 1:
        fsync_folder(folders.pop())
        return
    from concurrent.futures import ThreadPoolExecutor  # a plan has no time for its import, and writes no batch

    with ThreadPoolExecutor(_SYNCS) as pool:
        for _ in pool.map(fsync_folder, folders):
            pass


def publish_folder(temporary: Path, final: Path) -> None:
    """Make the complete folder `temporary` appear as `final` at once; an older `final` is moved aside and removed."""
    for path in temporary.rglob("*"):
        if path.is_file():
            fsync_file(path)
        elif path.is_dir():
            fsync_folder(path)
    fsync_folder(temporary)
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        retired = temporary_path(final)
        final.rename(retired)
        temporary.rename(final)
        shutil.rmtree(retired)
    else:
        temporary.rename(final)
    fsync_folder(final.parent)
