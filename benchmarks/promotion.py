"""A decision while MLflow restarts: how long it takes, that it is made once, and that MLflow says the same as the ledger afterwards.

The server is killed as the command begins and started again at once, so that it goes away and comes back while the decision is made.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from mtac_assets.promotion.decide import settle_all
from mtac_assets.provenance import ledger
from mtac_assets.services import health
from mtac_assets.spec.project import Project, find_project
from mtac_assets.tracking import registry
from mtac_assets_tests.free_ports import free_port
from mtac_assets_tests.tides import make_project

DATES = (date(2024, 1, 7), date(2024, 1, 8))
ROUNDS = 2  # of a promotion and the way back
MOVES = ("promote", "rollback")


class Server:
    """MLflow on a database of its own, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.healthy: Callable[[], bool] = lambda: health.answers(f"{self.url}/health")
        store = [
            "--backend-store-uri",
            f"sqlite:///{folder / 'mlflow.db'}",
            "--artifacts-destination",
            str(folder / "artifacts"),
        ]
        listen = ["--host", "127.0.0.1", "--port", self.url.rpartition(":")[2], "--workers", "1"]
        self.command = [sys.executable, "-m", "mlflow", "server", *store, *listen]
        self.start()
        self.wait()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def kill(self) -> None:
        subprocess.run(["pkill", "-9", "-s", str(self.process.pid)], check=False)  # the server is a session of its own
        self.process.wait()

    def wait(self) -> float:
        began = time.monotonic()
        while not self.healthy():
            assert time.monotonic() - began < 180, "MLflow does not come up"
            time.sleep(0.1)
        return time.monotonic() - began


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mtac-bench-") as name:
        folder = Path(name)
        server = Server(folder)
        try:
            return list(_decide(_project(folder / "coast", server.url), server))
        finally:
            server.kill()


def _project(folder: Path, url: str) -> Project:
    project = make_project(folder)
    environment = project.environments / "local.yaml"
    environment.write_text(environment.read_text() + f"mlflow: {{tracking_uri: '{url}'}}\n")
    return find_project(folder)


def _decide(project: Project, server: Server) -> list[Figure]:
    def mtac(*arguments: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "mtac_assets.cli", *arguments, "--json"]
        done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)

    first, second = (mtac("run", "floods", "--as-of", day.isoformat())["model_id"] for day in DATES)
    for model_id in (first, second):
        mtac("reproduce", model_id, "--by", "ada")
    by = ("--by", "ada", "--reason", "a benchmark")
    mtac("promote", first, *by)
    calm, away, apart = [], [], 0
    for restarting in (False, True):
        for move in MOVES * ROUNDS:
            if restarting:
                server.kill()
                server.start()
            began = time.monotonic()
            mtac(move, *([second] if move == "promote" else ["floods"]), *by)
            (away if restarting else calm).append(time.monotonic() - began)
            server.wait()
            settle_all(project, ask_again=True)
            apart += registry.aliases(project, "floods").get("champion") != (second if move == "promote" else first)
    decisions = [entry.kind for entry in ledger.history(project, "local", "floods") if entry.kind in MOVES]
    asked = ["promote", *(MOVES * ROUNDS * 2)]
    ratio = statistics.median(away) / statistics.median(calm)
    detail = f"{len(away)} promotions and ways back; {statistics.median(calm):.2f} s with MLflow up"
    return [
        Figure("a decision while MLflow restarts", statistics.median(away), "s", detail=detail),
        Figure("against one with MLflow up", ratio, "x"),
        Figure("decisions lost or made twice", abs(len(decisions) - len(asked)) + (decisions != asked), "", at_most=0),
        Figure("aliases that differ from the ledger once MLflow is back", apart, "", at_most=0),
    ]
