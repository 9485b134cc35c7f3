"""Rebuilding a model: whole in one training, and by its segments side by side with two workers.

A reproduction is a clean room, a training set, a process that loads torch, and training. The first three are its start-up: what a
whole reproduction takes beyond the training's own loop. Two workers must take no more than 0.65 of the loop on top of it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.line import python

ROOT = Path(__file__).resolve().parents[1]
AS_OF = "2013-07-15"
ROUNDS = 3


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mtac-bench-") as folder:
        checkout, state = Path(folder) / "checkout", Path(folder) / "state"
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(checkout)], check=True)
        model_id = _mtac(checkout, state, "run", "flight_delays", "--as-of", AS_OF)["model_id"]
        trained = json.loads((state / "models" / model_id / "training.json").read_text())["seconds"]
        ask = ("reproduce", model_id, "--by", "bench")
        pairs = [
            (
                _mtac(checkout, state, *ask)["seconds"],
                _mtac(checkout, state, *ask, "--segments", "all", "--workers", "2")["seconds"],
            )
            for _ in range(ROUNDS)
        ]
    whole, two = (statistics.median(times) for times in zip(*pairs, strict=True))
    start_up = whole - trained
    detail = f"whole {whole:.1f} s, of which training {trained:.1f} s; by segments with two workers {two:.1f} s, {ROUNDS} rounds"
    return [
        Figure(
            "two workers, beyond start-up, against the training",
            (two - start_up) / trained,
            at_most=0.65,
            detail=detail,
        ),
        Figure("a reproduction, whole", whole, "s"),
    ]


def _mtac(checkout: Path, state: Path, *arguments: str) -> dict[str, Any]:
    return json.loads(python(["-m", "mtac_assets.cli", *arguments, "--json"], checkout, state))
