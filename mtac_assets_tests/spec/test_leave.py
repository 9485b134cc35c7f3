"""Ending a process quickly must lose nothing that Python's own end would have done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def ended(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"from mtac_assets.spec.leave import leave\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def test_output_threads_and_exit_handlers_are_awaited(tmp_path: Path) -> None:
    done = ended(
        "import atexit, threading, time\n"
        "atexit.register(lambda: print('handler'))\n"
        "threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start()\n"
        "print('x' * 100_000, end=' ')\n"
        "leave(3)"
    )
    assert done.returncode == 3
    assert done.stdout == "x" * 100_000 + " thread\nhandler\n"
    assert done.stderr == ""


def test_objects_are_not_freed() -> None:
    done = ended(
        "class Held:\n    def __del__(self): print('freed')\nheld = Held()\nleave(0)",
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_a_reader_that_has_gone_is_told_by_the_exit_code() -> None:
    code = "from mtac_assets.spec.leave import leave\nprint('x' * 10_000_000)\nleave(0)"
    with subprocess.Popen([sys.executable, "-c", f"import sys\ntry:\n    print('x')\nfinally: pass\n{code}"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:  # fmt: skip
        assert child.stdout is not None
        child.stdout.close()
        assert child.wait(60) != 0
