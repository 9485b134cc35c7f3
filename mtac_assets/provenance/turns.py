"""One process of a machine after the other: the kernel's lock on a file, which ends with the process that holds it.

Before the lock there is a door, for one: who waits next. Whoever has had a turn and wants another finds the door shut by the one who
waited meanwhile, so one that writes much starves nobody, however fast it asks again.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

LOOK_SECONDS = 0.02
DOOR = ".next"  # after the name of the lock


@contextmanager
def turn(path: Path, seconds: float | None = None, *, look: float = LOOK_SECONDS) -> Generator[bool]:
    """True where the block has its turn: no other block with this `path` runs until it ends, in whatever process.

    Waits for ever; or, looking every `look` seconds, until one and the same other has had its turn for so many `seconds`, after
    which the block runs all the same, with False. While turns pass on from one to another, it waits for its own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        with path.with_name(path.name + DOOR).open("a") as door:
            if seconds is None:
                fcntl.flock(door, fcntl.LOCK_EX)
                fcntl.flock(lock, fcntl.LOCK_EX)
                ours = True
            else:
                ours = _waited([door.fileno(), lock.fileno()], seconds, look)
            if ours:
                os.utime(
                    lock.fileno()
                )  # to now, which whoever may write may do: tells who waits that the turn passed on
        yield ours


def _waited(descriptors: list[int], seconds: float, look: float) -> bool:
    """All are taken, each after the one before it; False where the last one's turn did not pass on for so long."""
    *_, lock = descriptors
    passed, until = os.fstat(lock).st_mtime_ns, time.monotonic() + seconds
    for descriptor in descriptors:
        while not _taken(descriptor):
            if (now := os.fstat(lock).st_mtime_ns) != passed:
                passed, until = now, time.monotonic() + seconds
            if time.monotonic() >= until:
                return False
            time.sleep(look)
    return True


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
