"""What a deployment does: all services of compose.yaml up and healthy, and two hundred short runs in its daemon's queue at once.

Needs PostgreSQL and nginx of the distribution. Services are the compose file's own commands, as local processes. A run is the deployment's
own `clean_up`, whose work is next to nothing: what is measured is the queue, the launcher, the start of a process, and the database.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from mtac_assets.orchestration.instance import CONCURRENT_RUNS
from mtac_assets.orchestration.retention import JOB
from mtac_assets.services.database import asked, connected
from mtac_assets_tests.deployment import Deployment
from mtac_assets_tests.tides import make_project

RUNS, LIMIT_SECONDS = 200, 3600.0
LOG_IN = ("ada", "acts")
EVENTS = ("PIPELINE_ENQUEUED", "PIPELINE_START", "STEP_SUCCESS", "PIPELINE_SUCCESS")  # as Dagster stores them
LAUNCH = """mutation All($all: [ExecutionParams!]!) { launchMultipleRuns(executionParamsList: $all) {
  __typename ... on LaunchMultipleRunsResult { launchMultipleRunsResult {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }
  ... on PythonError { message } } }"""


def measure() -> list[Figure]:
    with _deployment() as deployment:
        seconds = deployment.start_all()
        said = f"{len(deployment.services)} services from nothing: initdb, tables, all health checks"
        return [Figure("all services to healthy", seconds, "s", detail=said), *_runs(deployment)]


@contextmanager
def _deployment() -> Iterator[Deployment]:
    """A deployment of the tides, not started yet."""
    folder = Path(tempfile.mkdtemp(prefix="mtac-deployment-"))
    deployment = Deployment(folder, make_project(folder / "source").root)
    try:
        deployment.build()
        deployment.make_secrets({"users": dict([LOG_IN]), "viewers": {"vera": "looks"}}, "of no use elsewhere")
        yield deployment
    finally:
        deployment.stop_all()
        shutil.rmtree(folder, ignore_errors=True)


def _runs(deployment: Deployment) -> list[Figure]:
    """All of them asked for in one request through the proxy, and looked for in the database afterwards."""
    asked_at = time.time()
    ids = _submit(deployment)
    submitted = time.time() - asked_at
    unended = "select count(*) from runs where status not in ('SUCCESS', 'FAILURE', 'CANCELED')"
    while _ask(deployment, unended)[0][0] and time.time() - asked_at < LIMIT_SECONDS:
        time.sleep(2)
    spans = _ask(
        deployment, "select start_time, end_time from runs where status = 'SUCCESS' and start_time is not null"
    )
    kinds = ", ".join(f"'{kind}'" for kind in EVENTS)
    whole = _ask(
        deployment,
        "select run_id from runs where status = 'SUCCESS' and (select count(*) from event_logs"
        f" where event_logs.run_id = runs.run_id and dagster_event_type in ({kinds})) = {len(EVENTS)}",
    )
    again = _ask(deployment, "select count(*) from runs")[0][0] - len(ids)
    lost = len(set(ids) - {run for (run,) in whole})
    wall = max(end for _, end in spans) - asked_at
    one = statistics.median(end - start for start, end in spans)
    said = (
        f"asked for at once, {CONCURRENT_RUNS} at a time; every one with its status and {', '.join(EVENTS)}, each once"
    )
    return [
        Figure("short runs lost on PostgreSQL", lost, f"of {RUNS}", at_most=0, detail=said),
        Figure("runs that were started again", again, "", at_most=0),
        Figure(
            f"{RUNS} short runs through the queue",
            wall,
            "s",
            detail=f"from the request on, which took {submitted:.1f} s",
        ),
        Figure("one of them, from its start to its end", one, "s", detail="median; processes load before that"),
    ]


def _submit(deployment: Deployment) -> list[str]:
    """One request for all; the runs' ids."""
    selector = {
        "repositoryLocationName": deployment.project.package,
        "repositoryName": "__repository__",
        "jobName": JOB,
    }
    one = {"selector": selector, "runConfigData": {}, "executionMetadata": {"tags": []}}
    body = {"query": LAUNCH, "variables": {"all": [one] * RUNS}}
    status, content = deployment.ask("/graphql", LOG_IN, body, seconds=290, Origin=deployment.url)
    assert status == 200, content
    said = json.loads(content)["data"]["launchMultipleRuns"]
    return [each["run"]["runId"] for each in said["launchMultipleRunsResult"]]


def _ask(deployment: Deployment, query: str) -> list[tuple[Any, ...]]:
    server = deployment.project.environment.server
    assert server is not None
    with connected(server.postgres, server.postgres.dagster_database) as opened:
        return asked(opened, query)
