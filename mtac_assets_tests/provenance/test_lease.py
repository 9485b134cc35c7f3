"""Leases: one worker commits; one that was given up for dead is refused."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from mtac_assets.provenance import lease
from mtac_assets.provenance.files import read_json

HOLD = "from pathlib import Path; from mtac_assets.provenance import lease; lease.acquire(Path({path!r})); print('held', flush=True); input()"


def test_a_held_lease_is_refused_and_a_released_one_is_not(tmp_path: Path) -> None:
    first = lease.acquire(tmp_path / "one.json")
    with pytest.raises(lease.LeaseHeld, match="at work on this since"):
        lease.acquire(tmp_path / "one.json")
    first.release()
    assert lease.acquire(tmp_path / "one.json").token == first.token + 1


def test_the_lease_of_a_killed_process_is_taken_over(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "one.json"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(path=str(path))], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(lease.LeaseHeld):
        lease.acquire(path)
    holder.kill()
    holder.wait()
    assert lease.acquire(path).token == 2


def test_a_worker_thought_dead_cannot_commit(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    late = lease.acquire(path)
    late.release()
    present = lease.acquire(path)
    committed = []
    with pytest.raises(lease.LeaseLost), late.fence():
        committed.append("late")
    with present.fence():
        committed.append("present")
    assert committed == ["present"]
    with pytest.raises(lease.LeaseLost):
        late.renew()


HALT = """
import os, signal
from pathlib import Path
from mtac_assets.provenance import lease
with lease.acquire(Path({path!r})).fence():
    print("inside", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def test_a_worker_halted_inside_a_commit_makes_nobody_wait_for_ever(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.json"
    monkeypatch.setattr(lease, "WAIT_SECONDS", 0.3)
    code = HALT.format(path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE) as halted:
        assert halted.stdout is not None
        assert halted.stdout.readline() == b"inside\n"
        with pytest.raises(lease.LeaseHeld, match=rf":{halted.pid} has been in the middle of a commit") as raised:
            lease.acquire(path)
        assert "SIGSTOP" in raised.value.findings[0].remedy
        halted.kill()
    assert lease.acquire(path).token == 2, "the lock of a dead process is free"


def test_a_lease_is_renewed_while_the_work_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    held = lease.acquire(path)
    before = read_json(path)["renewed"]
    with held.kept(every=timedelta(milliseconds=20)):
        deadline = time.monotonic() + 20
        while read_json(path)["renewed"] == before:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert read_json(path)["token"] == held.token


def test_a_lease_that_was_lost_is_not_renewed(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    late = lease.acquire(path)
    late.release()
    present = lease.acquire(path)
    written = read_json(path)
    with late.kept(every=timedelta(milliseconds=5)):
        time.sleep(0.2)
    assert read_json(path) == written
    with present.fence():
        pass
