"""Processes begun ahead of need, with small real modules."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
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
    waiting = ahead._waiting[MODULE].child
    assert ahead.take(MODULE, [], root, {**os.environ, "OMP_NUM_THREADS": "2"}) is None
    assert waiting.poll() is not None


def test_asking_twice_begins_one_process(root: Path) -> None:
    ahead.prepare(MODULE, [], root, os.environ)
    first = ahead._waiting[MODULE].child
    ahead.prepare(MODULE, [], root, os.environ)
    assert ahead._waiting[MODULE].child is first
    ahead.prepare(MODULE, [], root.parent, os.environ)
    assert first.poll() is not None, "another folder needs another process"


def test_one_that_died_meanwhile_is_not_taken(root: Path) -> None:
    ahead.prepare(MODULE, ["no_such_library"], root, os.environ, stderr=subprocess.DEVNULL)
    ahead._waiting[MODULE].child.wait(30)
    assert ahead.take(MODULE, [], root, os.environ) is None


def test_a_process_that_waits_ends_with_its_parent(root: Path) -> None:
    code = (
        "import os, pathlib; from mtac_assets.training import ahead\n"
        f"ahead.prepare({MODULE!r}, [], pathlib.Path({str(root)!r}), os.environ)\n"
        f"print(ahead._waiting[{MODULE!r}].child.pid, flush=True); os._exit(0)"
    )
    parent = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    waiting, deadline = int(parent.stdout), time.monotonic() + 30
    while psutil.pid_exists(waiting) and psutil.Process(waiting).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
