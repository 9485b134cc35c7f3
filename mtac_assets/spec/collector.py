"""Python's garbage collector, kept from looking again and again through objects that all stay."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def paused() -> Generator[None]:
    """No collection inside the block. What is garbage by then is found after it."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def settle() -> None:
    """For a process that works long on what it has loaded: what is there now is looked at never again, and what is new less often
    (20,000 new objects instead of 700)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
