"""A replay of 300 days with weekly retraining, in a checkout of its own: how long it takes, and a day of it outside training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure
from mtac_assets.spec.project import STATE_VARIABLE

ROOT = Path(__file__).resolve().parents[1]
DAYS = 300
ARGUMENTS = (
    *("replay", "flight_delays", "--policy", "weekly", "--json"),
    *("--from", "2013-03-01", "--to", "2013-12-25"),
)


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mtac-bench-") as folder:
        checkout = Path(folder) / "checkout"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(checkout)], check=True)
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "mtac_assets.cli", *ARGUMENTS],
            cwd=checkout,
            env={**os.environ, STATE_VARIABLE: str(Path(folder) / "state"), "PYTHONPATH": str(checkout)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        minutes = (time.monotonic() - began) / 60
    (weekly,) = json.loads(done.stdout)["policies"]
    seconds = weekly["seconds"]
    trained = f"{weekly['trainings_count']} trainings, {weekly['promotions']} promotions"
    return [
        Figure("a replay of 300 days, weekly", minutes, "min", at_most=10, detail=f"{trained}, once"),
        Figure("a day of it outside training", seconds["days"] / DAYS, "s", at_most=1, detail=f"mean of {DAYS}"),
        Figure("a training of it", seconds["trainings"] / weekly["trainings_count"], "s", detail="with report"),
        Figure("a decision of it", seconds["decisions"] / weekly["trainings_count"], "s", detail="with rebuilds"),
    ]
