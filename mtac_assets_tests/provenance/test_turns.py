"""One process after the other, and none starved."""

from __future__ import annotations

import fcntl
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mtac_assets.provenance.turns import DOOR, turn
from mtac_assets_tests.running import until

# Takes its turn again and again with no pause between, and writes one byte for each.
GREEDY = """
import sys, time
from pathlib import Path
from mtac_assets.provenance.turns import turn

path, seconds, log = Path(sys.argv[1]), float(sys.argv[2]), open(sys.argv[3], "ab", buffering=0)
while True:
    with turn(path, 60.0):
        log.write(b".")
        time.sleep(seconds)
"""


def greedy(path: Path, seconds: float, log: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", GREEDY, str(path), str(seconds), str(log)])


def turns_of(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


@pytest.mark.parametrize("patience", [60.0, None])
def test_one_that_asks_again_at_once_starves_nobody(tmp_path: Path, patience: float | None) -> None:
    path, log = tmp_path / "a.lock", tmp_path / "log"
    other = greedy(path, 0.05, log)
    try:
        overtaken, before = [], 0
        for _ in range(5):
            until(lambda before=before: turns_of(log) > before, "its turn")
            before = turns_of(log)
            with turn(path, patience) as ours:
                assert ours
                overtaken.append(turns_of(log) - before)
            before += overtaken[-1]
        # The one that it was at, and one that it stood at the door for; more where this process was halted before it asked.
        assert statistics.median(overtaken) <= 2
    finally:
        other.kill()
        other.wait()


def test_one_waits_while_turns_pass_on(tmp_path: Path) -> None:
    """Two others have their turns first: each for less than its patience, both together for more."""
    path, begun = tmp_path / "a.lock", threading.Event()
    others = [threading.Thread(target=_hold, args=(path, 2.5, begun)) for _ in range(2)]
    others[0].start()
    assert begun.wait(60)
    others[1].start()
    until(lambda: _at_the_door(path), "the second to be next")
    began = time.monotonic()
    with turn(path, 4.0) as ours:
        assert ours
        assert time.monotonic() - began > 4.0
    for other in others:
        other.join()


def test_one_does_not_wait_for_a_turn_that_does_not_end(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with turn(path, 0.0) as ours:
        assert ours
        assert not _from_another_thread(path, 0.3)
    assert _from_another_thread(path, 0.3)
    other = greedy(path, 600.0, tmp_path / "log")
    until(lambda: turns_of(tmp_path / "log") > 0, "its turn")
    with turn(path, 0.0) as ours:
        assert not ours
    other.kill()
    other.wait()
    with turn(path, 0.0) as ours:
        assert ours, "the kernel gave its lock back"


def _hold(path: Path, seconds: float, begun: threading.Event) -> None:
    with turn(path, 60.0) as ours:
        assert ours
        begun.set()
        time.sleep(seconds)


def _at_the_door(path: Path) -> bool:
    with path.with_name(path.name + DOOR).open("a") as door:
        try:
            fcntl.flock(door, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _from_another_thread(path: Path, seconds: float) -> bool:
    got: list[bool] = []

    def ask() -> None:
        began = time.monotonic()
        with turn(path, seconds) as ours:
            got.append(ours)
        assert ours or time.monotonic() - began >= seconds

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    (has_it,) = got
    return has_it
