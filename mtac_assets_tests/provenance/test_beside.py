from __future__ import annotations

import threading
import time

import pytest

from mtac_assets.provenance.beside import Enough, beside


def test_it_is_done_again_and_again_and_once_more_at_the_end_even_of_a_failure() -> None:
    seen: list[str] = []
    twice = threading.Event()

    def work() -> None:
        seen.append(threading.current_thread().name)
        if len(seen) == 2:
            twice.set()

    def fail() -> None:
        with beside(work, 0.001, "looking", at_end=True):
            assert twice.wait(30)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(seen) > 2
    assert set(seen) == {"looking"}
    after = len(seen)
    time.sleep(0.02)
    assert len(seen) == after


def test_who_has_enough_is_not_asked_again() -> None:
    seen: list[int] = []
    done = threading.Event()

    def work() -> None:
        seen.append(1)
        done.set()
        raise Enough

    with beside(work, 0.001, "once"):
        assert done.wait(30)
        time.sleep(0.02)
    assert seen == [1]
