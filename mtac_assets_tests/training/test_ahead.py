"""Processes begun ahead of need, with small real modules."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mtac_assets.training import ahead

MODULE = "wanted"
WANTED = """
import os, pathlib, sys
out = pathlib.Path(sys.argv[1])
out.write_text(" ".join([sys.argv[2], os.environ["COLOUR"], __name__, str("colorsys" in sys.modules), sys.stdin.read()]))
sys.exit(7)
"""


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / f"{MODULE}.py").write_text(WANTED)
    yield tmp_path
    ahead.dismiss(MODULE)


def test_a_process_that_waits_becomes_the_module_with_its_libraries_loaded(root: Path) -> None:
    out = root / "out.txt"
    ahead.prepare(MODULE, ["colorsys"], root, {**os.environ, "COLOUR": "red"})
    child = ahead.take(MODULE, [str(out), "now"], root, {**os.environ, "COLOUR": "blue"})
    assert child is not None
    assert child.wait(30) == 7
    assert out.read_text() == "now blue __main__ True "


def test_one_that_loaded_its_libraries_under_other_variables_is_ended(root: Path) -> None:
    ahead.prepare(MODULE, [], root, {**os.environ, "OMP_NUM_THREADS": "1"})
    waiting = ahead._waiting[MODULE][0].child
    assert ahead.take(MODULE, [], root, {**os.environ, "OMP_NUM_THREADS": "2"}) is None
    assert waiting.poll() is not None


def test_asking_twice_begins_one_process(root: Path) -> None:
    ahead.prepare(MODULE, [], root, os.environ)
    first = ahead._waiting[MODULE][0].child
    ahead.prepare(MODULE, [], root, os.environ)
    assert ahead._waiting[MODULE][0].child is first
    ahead.prepare(MODULE, [], root.parent, os.environ)
    assert first.poll() is not None, "another folder needs another process"


def test_a_spare_one_is_none_while_but_one_waits(root: Path) -> None:
    ahead.prepare(MODULE, [], root, {**os.environ, "COLOUR": "red"}, processes=2)
    assert len(ahead._waiting[MODULE]) == 2
    outs = [root / "beside.txt", root / "out.txt"]
    beside = ahead.take_spare(MODULE, [str(outs[0]), "beside"], root, {**os.environ, "COLOUR": "blue"})
    assert beside is not None
    assert ahead.take_spare(MODULE, [str(outs[1]), "no"], root, os.environ) is None
    child = ahead.take(MODULE, [str(outs[1]), "now"], root, {**os.environ, "COLOUR": "red"})
    assert child is not None
    assert beside.wait(30) == child.wait(30) == 7
    assert [out.read_text() for out in outs] == ["beside blue __main__ False ", "now red __main__ False "]


def test_those_of_one_lane_load_one_after_the_other_also_where_one_is_killed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    (root / "slow_to_load.py").write_text(
        "import os, pathlib, time\n"
        "pathlib.Path(f'{os.getpid()}.loading').touch()\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.01)\n"
    )
    ahead.prepare(MODULE, ["slow_to_load"], root, os.environ, processes=3)
    children = [each.child for each in ahead._waiting[MODULE]]

    def loading() -> set[int]:
        return {int(path.stem) for path in root.glob("*.loading")}

    until(lambda: len(loading()) == 1)
    time.sleep(0.3)
    (first,) = loading()
    next(child for child in children if child.pid == first).kill()
    until(lambda: len(loading()) == 2)
    time.sleep(0.3)
    assert len(loading()) == 2
    (root / "go").touch()
    until(lambda: len(loading()) == 3)


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_one_that_died_meanwhile_is_not_taken(root: Path) -> None:
    ahead.prepare(MODULE, ["no_such_library"], root, os.environ, stderr=subprocess.DEVNULL)
    ahead._waiting[MODULE][0].child.wait(30)
    assert ahead.take(MODULE, [], root, os.environ) is None


def test_a_process_that_waits_ends_with_its_parent(root: Path) -> None:
    code = (
        "import os, pathlib; from mtac_assets.training import ahead\n"
        f"ahead.prepare({MODULE!r}, [], pathlib.Path({str(root)!r}), os.environ)\n"
        f"print(ahead._waiting[{MODULE!r}][0].child.pid, flush=True); os._exit(0)"
    )
    parent = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    waiting, deadline = int(parent.stdout), time.monotonic() + 30
    while psutil.pid_exists(waiting) and psutil.Process(waiting).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
