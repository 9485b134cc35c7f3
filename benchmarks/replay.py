"""A replay of 300 days under four policies, in a checkout of its own: how long weekly retraining takes, and a day of it outside training.

What the policies cost and gained goes into `results/` too (`replay_table`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import replay_table
from benchmarks.figure import Figure
from mtac_assets.spec.project import STATE_VARIABLE

ROOT = Path(__file__).resolve().parents[1]
DAYS = 300
POLICIES = ("weekly", "never", "drift", "performance")  # weekly first: it trains every model that it needs
ARGUMENTS = (
    *("replay", "flight_delays", "--json"),
    *(word for name in POLICIES for word in ("--policy", name)),
    *("--from", "2013-03-01", "--to", "2013-12-25"),
)


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mtac-bench-") as folder:
        checkout = Path(folder) / "checkout"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(checkout)], check=True)
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "mtac_assets.cli", *ARGUMENTS, "--out", str(Path(folder) / "out")],
            cwd=checkout,
            env={**os.environ, STATE_VARIABLE: str(Path(folder) / "state"), "PYTHONPATH": str(checkout)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        took = time.monotonic() - began
        replay_table.main([str(Path(folder) / "out" / "replay.json")])
    weekly, *others = json.loads(done.stdout)["policies"]
    assert weekly["name"] == "weekly"
    # What is done once for all policies is counted as if it had been done for this one alone.
    minutes = (took - sum(sum(policy["seconds"].values()) for policy in others)) / 60
    seconds = weekly["seconds"]
    several = f"{len(POLICIES)} policies in {took / 60:.1f} min"
    trained = f"{weekly['trainings_count']} trainings, {weekly['promotions']} promotions"
    return [
        Figure("a replay of 300 days, weekly", minutes, "min", at_most=10, detail=f"{trained}, once; {several}"),
        Figure("a day of it outside training", seconds["days"] / DAYS, "s", at_most=1, detail=f"mean of {DAYS}"),
        Figure("a training of it", seconds["trainings"] / weekly["trainings_count"], "s", detail="with report"),
        Figure("a decision of it", seconds["decisions"] / weekly["trainings_count"], "s", detail="with rebuilds"),
    ]
