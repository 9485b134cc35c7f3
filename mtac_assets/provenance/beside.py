"""Something done again and again in a thread while a block of work runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager


class Enough(Exception):
    """Raised by what is done beside a block: it need not be done again."""


@contextmanager
def beside(work: Callable[[], object], every: float, name: str, *, at_end: bool = False) -> Generator[None]:
    """Call `work` every `every` seconds until the block ends; with `at_end` once more then, also when an exception ended it.

    The block's end waits for a call that is under way.
    """
    done = threading.Event()

    def working() -> None:
        while not done.wait(every):
            try:
                work()
            except Enough:
                return
        if at_end:
            work()

    thread = threading.Thread(target=working, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
