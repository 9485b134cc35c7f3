"""Leases: one worker commits; one that was given up for dead is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mtac_assets.provenance import lease

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
