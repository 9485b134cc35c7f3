"""The main job against a plain script that does the same work, and how long it takes to find out that there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figure import Figure, interleaved, median_seconds
from mtac_assets.spec.project import STATE_VARIABLE

ROOT = Path(__file__).resolve().parents[1]
AS_OF = "2013-07-15"
ROUNDS = 3
NO_OP_ROUNDS = 9


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mtac-bench-") as folder:
        ours, plain = Path(folder) / "ours", Path(folder) / "plain"
        run = ["-m", "mtac_assets.cli", "run", "flight_delays", "--as-of", AS_OF, "--json"]
        # Both in a checkout of their own, so that no model of the user's repository is involved.
        checkout = Path(folder) / "checkout"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(checkout)], check=True)

        def ours_once() -> None:
            shutil.rmtree(ours, ignore_errors=True)
            for ref in _lines(checkout, "git", "for-each-ref", "--format=%(refname)", "refs/mtac"):
                subprocess.run(["git", "update-ref", "-d", ref], cwd=checkout, check=True)
            python(run, checkout, ours)

        def plain_once() -> None:
            shutil.rmtree(plain, ignore_errors=True)
            python(["-m", "benchmarks.plain_line", AS_OF], checkout, plain)

        ours_median, plain_median, ratio = interleaved(ours_once, plain_once, ROUNDS)
        again = median_seconds(lambda: python(run, checkout, ours), NO_OP_ROUNDS)
        plan = ["-m", "mtac_assets.cli", "plan", "flight_delays", "--as-of", AS_OF, "--json"]
        planned = median_seconds(lambda: python(plan, checkout, ours), NO_OP_ROUNDS)
    detail = (
        f"{ours_median:.1f} s against {plain_median:.1f} s, {ROUNDS} rounds; ours also versions, commits and records"
    )
    return [
        Figure("main job against a plain script", ratio, at_most=1.25, detail=detail),
        Figure("a second mtac run", again, "s", at_most=1.5, detail=f"median of {NO_OP_ROUNDS}"),
        Figure("mtac plan with nothing to do", planned, "s", at_most=0.5, detail=f"median of {NO_OP_ROUNDS}"),
    ]


def python(arguments: list[str], cwd: Path, state: Path) -> str:
    """Standard output of `python ARGUMENTS` in a checkout, with a state of its own. RuntimeError with its last words where it fails."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, STATE_VARIABLE: str(state), "PYTHONPATH": str(cwd)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return done.stdout


def _lines(cwd: Path, *command: str) -> list[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout.split()
