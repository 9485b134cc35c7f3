"""One process of a machine after the other: the kernel's lock on a file, which ends with the process that holds it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

LOOK_SECONDS = 0.02


@contextmanager
def turn(path: Path, seconds: float | None = None, *, look: float = LOOK_SECONDS) -> Generator[bool]:
    """True where the block has its turn: no other block with this `path` runs until it ends, in whatever process. Waits for ever, or
    for so many `seconds` (looking every `look` seconds), after which the block runs all the same, with False.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        if seconds is None:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield True
            return
        until = time.monotonic() + seconds
        while not (has_it := _taken(stream.fileno())) and time.monotonic() < until:
            time.sleep(look)
        yield has_it


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
