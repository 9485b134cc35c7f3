"""Forked children, with small real modules: they are what `python -m` would have started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtac_assets.training import ahead
from mtac_assets.training.nursery import Nursery, nursery

MODULE = "forked_later"
WANTED = """
import os, sys, time
if sys.argv[1] == "sleep":
    time.sleep(60)
print(*sys.argv[1:], os.environ["COLOUR"], __name__, "colorsys" in sys.modules, os.getcwd(), os.getsid(0) == os.getpid(),
      sys.stdin.read(), file=sys.stderr)
sum(n * n for n in range(300_000))
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / f"{MODULE}.py").write_text(WANTED)
    return tmp_path


@pytest.fixture
def made(root: Path) -> Iterator[Nursery]:
    with nursery({MODULE: ["colorsys"]}) as opened:
        yield opened


def take(root: Path, *arguments: str, colour: str = "red", **variables: str):
    child = ahead.take(MODULE, arguments, root, {**os.environ, "COLOUR": colour, **variables}, piped=True)
    assert child is not None
    return child


def test_a_fork_is_what_the_module_would_have_been(made: Nursery, root: Path) -> None:
    child = take(root, "7")
    assert child.wait(60) == 7
    assert child.stderr is not None
    assert child.stderr.read().decode().split() == ["7", "red", "__main__", "True", str(root), "True"]
    assert made.cpu_seconds > 0
    again = take(root, "0", colour="blue")
    assert again.wait(60) == 0
    assert b"blue" in again.stderr.read()


def test_a_forks_end_by_a_signal_is_told(made: Nursery, root: Path) -> None:
    child = take(root, "sleep")
    assert child.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    assert child.wait(60) == -signal.SIGKILL
    assert child.poll() == -signal.SIGKILL


def test_variables_that_libraries_read_while_loading_have_a_mother_of_their_own(made: Nursery, root: Path) -> None:
    for threads in ("1", "2", "1"):
        assert take(root, "0", OMP_NUM_THREADS=threads).wait(60) == 0
    assert len(made._mothers) == 2


def test_where_no_nursery_is_open_or_the_module_is_none_of_its_own_nothing_is_forked(root: Path) -> None:
    assert ahead.take(MODULE, [], root, os.environ) is None
    with nursery({"another": []}):
        assert ahead.take(MODULE, [], root, os.environ) is None


def test_mothers_end_with_their_process(root: Path) -> None:
    code = (
        "import os, pathlib; from mtac_assets.training.nursery import Nursery\n"
        f"made = Nursery({{{MODULE!r}: []}})\n"
        f"made.fork({MODULE!r}, ['0'], pathlib.Path({str(root)!r}), {{**os.environ, 'COLOUR': 'red'}}, piped=False).wait(60)\n"
        "(mother, _), = made._mothers.values(); print(mother.pid, flush=True); os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    pid, until = int(done.stdout), time.monotonic() + 30
    while time.monotonic() < until and _lives(pid):
        time.sleep(0.05)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
