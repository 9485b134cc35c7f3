"""Forked children, with small real modules: they are what `python -m` would have started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
    assert made.used.cpu_seconds > 0
    again = take(root, "0", colour="blue")
    assert again.wait(60) == 0
    assert again.stderr is not None
    assert b"blue" in again.stderr.read()


def test_what_a_fork_answers_can_be_had(made: Nursery, root: Path) -> None:
    (root / f"{MODULE}.py").write_text(
        "import sys, time; print('x' * 200_000); print('said', file=sys.stderr); sys.stdout.flush(); time.sleep(float(sys.argv[1]))"
    )
    child = made.fork(MODULE, ["0"], root, os.environ, piped=True, answers=True)
    assert child is not None
    assert child.communicate(60) == (b"x" * 200_000 + b"\n", b"said\n")
    assert child.returncode == 0
    slow = made.fork(MODULE, ["60"], root, os.environ, piped=True, answers=True)
    assert slow is not None
    with pytest.raises(subprocess.TimeoutExpired):
        slow.communicate(1)
    os.killpg(slow.pid, signal.SIGKILL)
    assert slow.communicate(60)[0] == b"x" * 200_000 + b"\n", "what was heard before is not lost"
    assert slow.returncode == -signal.SIGKILL


def test_forks_of_several_threads_do_not_mix_their_orders(made: Nursery, root: Path) -> None:
    (root / f"{MODULE}.py").write_text("import sys; print(sys.argv[1], len(sys.argv[2]))")

    def answer(number: int) -> bytes:
        child = made.fork(MODULE, [str(number), "y" * 100_000], root, os.environ, piped=True, answers=True)
        assert child is not None
        return child.communicate(60)[0]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(answer, range(16))) == [b"%d 100000\n" % number for number in range(16)]


def test_libraries_that_cannot_be_loaded_give_no_fork(root: Path) -> None:
    with nursery({MODULE: ["no_such_library"]}) as opened:
        assert opened.fork(MODULE, ["0"], root, os.environ, piped=True) is None


def test_libraries_that_load_too_long_give_no_fork_and_leave_no_process(root: Path) -> None:
    (root / "endless.py").write_text("import time; time.sleep(60)")
    with nursery({MODULE: ["endless"]}) as opened:
        opened.begin(MODULE, root, os.environ)
        (mother,) = [process for process, _ in opened._mothers.values()]
        with pytest.raises(subprocess.TimeoutExpired):
            opened.fork(MODULE, ["0"], root, os.environ, piped=True, answers=True, seconds=0.5)
        assert mother.poll() is not None


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


STAYS = """
import os, sys, time
done = []
def main(arguments):
    done.append(arguments[0])
    if arguments[0] == "sleep":
        time.sleep(60)
    if arguments[0] == "refuse":
        raise ValueError("no such order")
    print(*done, os.getpid(), os.environ["COLOUR"], __name__, os.getsid(0) == os.getpid(), sys.stdin.read(), file=sys.stderr)
    sum(n * n for n in range(300_000))
    return len(done)
"""


@pytest.fixture
def stays(tmp_path: Path) -> Iterator[Nursery]:
    (tmp_path / MODULE).mkdir()
    (tmp_path / MODULE / "__init__.py").touch()
    (tmp_path / MODULE / "__main__.py").write_text(STAYS)
    with nursery({MODULE: ["colorsys"]}, stay=[MODULE]) as opened:
        yield opened


def test_a_module_that_stays_does_one_order_after_the_other_in_one_process(stays: Nursery, tmp_path: Path) -> None:
    children = [take(tmp_path, "a"), take(tmp_path, "b", colour="blue")]
    assert [child.wait(60) for child in children] == [1, 2]
    said = [child.stderr.read().decode().split() for child in children if child.stderr is not None]
    pid = str(children[0].pid)
    assert said == [
        ["a", pid, "red", f"{MODULE}.__main__", "True"],
        ["a", "b", pid, "blue", f"{MODULE}.__main__", "True"],
    ]
    first = stays.used.cpu_seconds
    assert take(tmp_path, "c").wait(60) == 3
    assert 0 < stays.used.cpu_seconds - first < first, "each order has what it used itself"


def test_an_order_that_fails_leaves_the_process_to_the_next(stays: Nursery, tmp_path: Path) -> None:
    failed = take(tmp_path, "refuse")
    assert failed.wait(60) == 1
    assert failed.stderr is not None
    assert b"ValueError: no such order" in failed.stderr.read()
    after = take(tmp_path, "a")
    assert (after.wait(60), after.pid) == (2, failed.pid)


def test_a_process_that_stayed_and_was_killed_is_begun_anew(stays: Nursery, tmp_path: Path) -> None:
    slow = take(tmp_path, "sleep")
    with pytest.raises(subprocess.TimeoutExpired):
        slow.wait(0.05)
    os.killpg(slow.pid, signal.SIGALRM)
    assert slow.wait(60) == -signal.SIGALRM
    again = take(tmp_path, "a")
    assert again.wait(60) == 1
    assert again.pid != slow.pid


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
