"""The trainer's `progress.jsonl` as metric points, read while it grows.

The trainer writes one JSON object a line; every number in it but its position becomes a metric. Half a line at the
end is a line not yet written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance.beside import beside
from mtac_assets.spec import clock

if TYPE_CHECKING:
    from mtac_assets.tracking.record import Point

POLL_SECONDS = 2.0
POSITION = frozenset({"step", "steps", "epoch", "epochs", "schema_version"})


def points(line: dict[str, Any], at: datetime) -> list[Point]:
    """Metric points of one progress object: its numbers, at its step, observed at its `time` or else at `at`.

    Lists and texts are no metrics; `{"validation": {"loss": 0.5}}` becomes `validation/loss`.
    """
    from mtac_assets.tracking.record import Point

    step = int(line.get("step", 0))
    observed = datetime.fromisoformat(line["time"]) if isinstance(line.get("time"), str) else at
    return [Point(name, value, step, observed) for name, value in _numbers(line, "") if name not in POSITION]


@contextmanager
def follow(progress: Path | None, send: Callable[[list[Point]], None]) -> Iterator[None]:
    """While the block runs, send the points of every line that is added to `progress`, a few seconds' worth at a time.

    What was in the file before the block belongs to an earlier attempt and is left out. The last lines are sent
    before the block ends, also when it ends by an exception.
    """
    if progress is None:
        yield
        return
    reader = _Tail(progress, skip=progress.stat().st_size if progress.exists() else 0)

    def work() -> None:
        at = clock.now()
        found = [point for line in reader.lines() for point in points(line, at)]
        if found:
            send(found)

    with beside(work, POLL_SECONDS, "mtac-progress", at_end=True):
        yield


class _Tail:
    """Whole lines appended to a file since the last look. A resuming trainer puts another file in its place, which begins
    with lines of the old one: those are not told twice."""

    def __init__(self, path: Path, skip: int) -> None:
        self._path = path
        self._offset = skip
        self._inode = path.stat().st_ino if path.exists() else None
        self._seen: set[bytes] = set()

    def lines(self) -> Iterable[dict[str, Any]]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as stream:
            inode = os.fstat(stream.fileno()).st_ino
            if self._inode is not None and inode != self._inode:
                self._offset = 0
            self._inode = inode
            stream.seek(self._offset)
            whole, newline, _ = stream.read().rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        new = [line for line in whole.splitlines() if line.strip() and line not in self._seen]
        self._seen.update(new)
        return [json.loads(line) for line in new]


def _numbers(value: dict[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for key, inner in value.items():
        name = f"{prefix}{key}"
        if isinstance(inner, dict):
            yield from _numbers(inner, f"{name}/")
        elif isinstance(inner, (int, float)) and not isinstance(inner, bool):
            yield name, float(inner)
