"""One process after the other, and none starved."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mtac_assets.provenance.turns import turn
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
        until(lambda: turns_of(log) > 0, "its first turn")
        overtaken = []
        for _ in range(10):
            before = turns_of(log)
            with turn(path, patience) as ours:
                assert ours
                overtaken.append(turns_of(log) - before)
        assert max(overtaken) <= 3, "between two of ours: the one it was at, and one it stood at the door for"
    finally:
        other.kill()
        other.wait()


def test_one_waits_while_turns_pass_on_and_not_for_one_that_has_stopped(tmp_path: Path) -> None:
    """Three others share the turns, so one's own comes later than its patience with each; then one of them keeps its own."""
    path = tmp_path / "a.lock"
    logs = [tmp_path / f"log{each}" for each in range(3)]
    others = [greedy(path, 0.4, log) for log in logs]
    try:
        until(lambda: all(turns_of(log) > 0 for log in logs), "a turn of each")
        with turn(path, 1.2) as ours:
            assert ours
    finally:
        for other in others:
            other.kill()
            other.wait()
    with turn(path, 0.0) as ours:
        assert ours, "the kernel gave their locks back"
        assert not _from_another_thread(path, 0.3)
    assert _from_another_thread(path, 0.3)


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
