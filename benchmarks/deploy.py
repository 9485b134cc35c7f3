"""What a deployment does: all services of compose.yaml up and healthy, and two hundred short runs side by side on PostgreSQL.

Needs PostgreSQL and nginx of the distribution. Services are the compose file's own commands, as local processes.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure
from mtac_assets_tests.deployment import Deployment
from mtac_assets_tests.postgres import Postgres, postgres
from mtac_assets_tests.served import served
from mtac_assets_tests.tides import make_project

WRITERS, RUNS_EACH = 8, 25
EVENTS = ("PIPELINE_START", "STEP_START", "STEP_SUCCESS", "PIPELINE_SUCCESS")  # as Dagster stores them
WRITER = f"""
import json, time
import dagster as dg
from mtac_assets.orchestration import instance as homes
from mtac_assets.spec.project import find_project

@dg.op
def nothing() -> None: ...

@dg.job
def short() -> None:
    nothing()

done, seconds = [], []
with homes.instance(find_project()) as opened:
    for _ in range({RUNS_EACH}):
        began = time.perf_counter()
        result = short.execute_in_process(instance=opened)
        seconds.append(time.perf_counter() - began)
        assert result.success
        done.append(result.run_id)
print(json.dumps([done, seconds]))
"""


def measure() -> list[Figure]:
    return [_start(), *_runs()]


def _start() -> Figure:
    folder = Path(tempfile.mkdtemp(prefix="mtac-deployment-"))
    deployment = Deployment(folder, make_project(folder / "source").root)
    try:
        deployment.build()
        deployment.make_secrets({"users": {"ada": "acts"}, "viewers": {"vera": "looks"}}, "of no use elsewhere")
        seconds = deployment.start_all()
    finally:
        deployment.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
    said = f"{len(deployment.services)} services from nothing: initdb, tables, all health checks"
    return Figure("all services to healthy", seconds, "s", detail=said)


def _runs() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mtac-bench-") as name, postgres() as database:
        folder = Path(name)
        project = served(make_project(folder / "coast"), folder, database.settings)
        began = time.perf_counter()
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER], cwd=project.root, stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.DEVNULL)
            for _ in range(WRITERS)
        ]  # fmt: skip
        told = [json.loads(writer.communicate()[0]) for writer in writers]
        wall = time.perf_counter() - began
        ids = [run for done, _ in told for run in done]
        one = statistics.median(second for _, seconds in told for second in seconds)
        lost = WRITERS * RUNS_EACH - _whole(database, ids)
    said = f"{WRITERS} processes, {RUNS_EACH} runs each; every one with its status and {', '.join(EVENTS)}"
    return [
        Figure("short runs lost on PostgreSQL", lost, "of 200", at_most=0, detail=said),
        Figure(
            "200 short runs",
            wall,
            "s",
            detail=f"start of the processes and making the tables included; median run {one:.2f} s",
        ),
    ]


def _whole(database: Postgres, ids: list[str]) -> int:
    """How many of the runs are there, each with status and all of its events once."""
    assert len(set(ids)) == len(ids)
    kinds = ", ".join(f"'{kind}'" for kind in EVENTS)
    found = database.ask(
        "select count(*) from runs where status = 'SUCCESS' and (select count(*) from event_logs"
        f" where event_logs.run_id = runs.run_id and dagster_event_type in ({kinds})) = {len(EVENTS)}",
        "dagster",
    )
    return int(found)
