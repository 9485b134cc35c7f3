"""A replay of 300 days under five policies, in a checkout of its own: how long weekly retraining takes, and a day of it outside training.

What the policies cost and gained goes into `results/` too (`replay_table`). Every night takes most of the hour.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import replay_table
from benchmarks.figure import Figure
from mtac_assets.spec.project import STATE_VARIABLE

ROOT = Path(__file__).resolve().parents[1]
DAYS = 300
TIMED = "weekly"
POLICIES = ("never", "nightly", TIMED, "drift", "performance")
ARGUMENTS = ("replay", "flight_delays", "--json", "--from", "2013-03-01", "--to", "2013-12-25")


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mtac-bench-") as folder:
        checkout, out = Path(folder) / "checkout", Path(folder) / "out"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(checkout)], check=True)
        variables = {**os.environ, STATE_VARIABLE: str(Path(folder) / "state"), "PYTHONPATH": str(checkout)}

        def play(*policies: str) -> tuple[float, Any]:
            named = [word for name in policies for word in ("--policy", name)]
            command = [sys.executable, "-m", "mtac_assets.cli", *ARGUMENTS, *named, "--out", str(out)]
            began = time.monotonic()
            done = subprocess.run(command, cwd=checkout, env=variables, stdout=subprocess.PIPE, text=True, check=True)
            return (time.monotonic() - began) / 60, json.loads(done.stdout)

        minutes, _ = play(TIMED)
        more, document = play(*POLICIES)  # goes on where the first ended: what it has trained is taken over
        replay_table.main([str(out / "replay.json")])
    weekly = next(policy for policy in document["policies"] if policy["name"] == TIMED)
    seconds = weekly["seconds"]
    several = f"{len(POLICIES)} policies in {minutes + more:.1f} min"
    trained = f"{weekly['trainings_count']} trainings, {weekly['promotions']} promotions"
    return [
        Figure("a replay of 300 days, weekly", minutes, "min", at_most=10, detail=f"{trained}, once; {several}"),
        Figure("a day of it outside training", seconds["days"] / DAYS, "s", at_most=1, detail=f"mean of {DAYS}"),
        Figure("a training of it", _mean_cost(weekly), "s", detail="with report, by the forerunner"),
        Figure("a decision of it", seconds["decisions"] / weekly["trainings_count"], "s", detail="with rebuilds"),
    ]


def _mean_cost(policy: dict[str, Any]) -> float:
    costs = [training["cost"]["seconds"] for training in policy["trainings"]]
    return sum(costs) / len(costs)
