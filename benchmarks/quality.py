"""The shipped recipe over ten as-of dates of 2013, against gradient boosting on the same rows and features."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
BASELINE = "hist_gradient_boosting"


def measure() -> list[Figure]:
    command = ["backtest", "flight_delays", "--from", "2013-03-01", "--to", "2013-12-01", "--every", "month", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "mtac_assets.cli", *command],
        cwd=ROOT,
        env=os.environ,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    rows = json.loads(done.stdout)["rows"]
    detail = f"{len(rows)} dates, " + ", ".join(
        f"{row['as_of']}: {row['metrics']['roc_auc']['value']:.4f}/{row['baselines'][BASELINE]['roc_auc']['value']:.4f}"
        for row in rows
    )
    auc = _mean(rows, "roc_auc")
    loss = _mean(rows, "log_loss")
    return [
        Figure("mean ROC AUC above gradient boosting", auc[0] - auc[1], "", at_least=0.005, detail=detail),
        Figure("mean ROC AUC of the model", auc[0], "", detail=f"gradient boosting {auc[1]:.4f}"),
        Figure(
            "mean log loss below gradient boosting",
            loss[1] - loss[0],
            "",
            at_least=0.0,
            detail=f"{loss[0]:.4f} against {loss[1]:.4f}",
        ),
        Figure("longest training", _longest(rows), "s", at_most=60, detail="wall seconds of one trainer process"),
    ]


def _mean(rows: list[dict[str, object]], metric: str) -> tuple[float, float]:
    model = statistics.fmean(row["metrics"][metric]["value"] for row in rows)  # type: ignore[index]
    baseline = statistics.fmean(row["baselines"][BASELINE][metric]["value"] for row in rows)  # type: ignore[index]
    return model, baseline


def _longest(rows: list[dict[str, object]]) -> float:
    state = ROOT / ".mtac" / "models"
    return max(json.loads((state / str(row["model_id"]) / "training.json").read_text())["seconds"] for row in rows)
