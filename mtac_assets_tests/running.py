"""`mtac up` over a project of a test's own: the real web server, the real daemon, real files that land; started, killed, asked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from mtac_assets.orchestration.instance import COMMAND_LINE_CONFIG
from mtac_assets.spec.project import Project
from mtac_assets_tests.conftest import ROOT
from mtac_assets_tests.free_ports import free_port
from mtac_assets_tests.services.test_local import until_up, using

LAUNCH = """mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""

SENSOR = """query Sensor($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
  ... on Sensor { sensorState { id status ticks(limit: 1000) { id } } } } }"""
START_SENSOR = """mutation Start($selector: SensorSelector!) { startSensor(sensorSelector: $selector) {
  ... on Sensor { sensorState { status } } ... on PythonError { message } } }"""
STOP_SENSOR = """mutation Stop($id: String) { stopSensor(id: $id) {
  ... on StopSensorMutationResult { instigationState { status } } ... on PythonError { message } } }"""


@dataclass
class Running:
    """A project and its `mtac up`, while it is up; `instance` looks into the daemon's database."""

    project: Project
    instance: dg.DagsterInstance
    process: subprocess.Popen[str] | None = None
    url: str = ""
    _streams: list[Any] = field(default_factory=list)

    def start(self, **variables: str) -> None:
        """Up, with further environment variables."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.project.root.parent / "home"),
            **variables,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mtac_assets.cli", "up", "--json"],
            cwd=self.project.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        services = until_up(self.process)
        self.url = next(entry["url"] for name, entry in services.items() if name.startswith("Dagster") and entry["url"])

    def stop(self) -> None:
        """Down, and whatever is left of it as well."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(60)
        finally:
            self.process.kill()
            kill(*(left for left in using(self.project.root) if left.pid != os.getpid()))
            self.process = None

    def daemon(self) -> psutil.Process:
        (found,) = [
            process
            for process in using(self.project.root)
            if re.search(r"-m dagster\._daemon run", command(process)) and "guard" not in command(process)
        ]
        return found

    def launch(self, job: str, config: Mapping[str, Any] | None = None, **tags: str) -> str:
        """As the launchpad does; the run's id."""
        selector = {"repositoryLocationName": f"{self.project.package}.definitions", "repositoryName": "__repository__"}
        params = {
            "selector": {**selector, "jobName": job},
            "runConfigData": dict(config or {}),
            "executionMetadata": {"tags": [{"key": key.replace("__", "/"), "value": tag} for key, tag in tags.items()]},
        }
        body = json.dumps({"query": LAUNCH, "variables": {"params": params}}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = json.load(answer)
        launched = said["data"]["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", said
        return launched["run"]["runId"]

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """An answer of Dagster's GraphQL, as its pages ask for it."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            said = json.load(answer)
        assert "errors" not in said, said
        return said["data"]

    def sensor(self, name: str) -> dict[str, Any]:
        """A sensor's id, status, and how many ticks it had."""
        state = self.ask(SENSOR, selector=self._sensor(name))["sensorOrError"]["sensorState"]
        return {"id": state["id"], "status": state["status"], "ticks": len(state["ticks"])}

    def switch(self, name: str, *, on: bool) -> None:
        """As the switch on the sensor's page does."""
        if on:
            self.ask(START_SENSOR, selector=self._sensor(name))
        else:
            self.ask(STOP_SENSOR, id=self.sensor(name)["id"])

    def _sensor(self, name: str) -> dict[str, str]:
        location = f"{self.project.package}.definitions"
        return {"repositoryLocationName": location, "repositoryName": "__repository__", "sensorName": name}

    def ended(self, *run_ids: str, seconds: float = 180.0) -> list[dg.DagsterRunStatus]:
        """How the runs ended, once they all have."""

        def statuses() -> list[dg.DagsterRun]:
            return [run for run_id in run_ids if (run := self.instance.get_run_by_id(run_id)) is not None]

        until(
            lambda: len(found := statuses()) == len(run_ids) and all(run.is_finished for run in found),
            "runs to end",
            seconds,
        )
        return [run.status for run in statuses()]

    def runs(self, job: str) -> list[dg.DagsterRun]:
        """The runs of a job, newest first."""
        return [record.dagster_run for record in self.instance.get_run_records(dg.RunsFilter(job_name=job))]

    def told(self, *asset: str) -> Counter[str]:
        """How often each partition of an asset was materialised."""
        records = self.instance.fetch_materializations(dg.AssetKey(asset), limit=1000).records
        return Counter(str(record.partition_key) for record in records)

    def check(self, name: str, *asset: str) -> bool | None:
        """Did the asset's check pass when it was last asked? None where it was not, or is being asked."""
        key = dg.AssetCheckKey(dg.AssetKey(asset), name)
        record = self.instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
        if record is None or record.status == AssetCheckExecutionRecordStatus.PLANNED:
            return None
        return record.status == AssetCheckExecutionRecordStatus.SUCCEEDED

    def findings(self, check: str, *asset: str) -> list[dict[str, Any]]:
        """All that the check's failed evaluations have found, newest first."""
        key = dg.AssetCheckKey(dg.AssetKey(asset), check)
        found: list[dict[str, Any]] = []
        for record in self.instance.event_log_storage.get_asset_check_execution_history(key, limit=100):
            event = record.event.dagster_event if record.event is not None else None
            if event is not None and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                stored = event.asset_check_evaluation_data.metadata.get("findings")
                found += stored.value if stored is not None else []  # pyright: ignore[reportOperatorIssue]
        return found


@contextmanager
def running(project: Project) -> Iterator[Running]:
    """The project with ports of its own and its database looked into; nothing is started yet, all is stopped at the end."""
    environment = project.environments / "local.yaml"
    environment.write_text(environment.read_text() + f"ports: {{webserver: {free_port()}, mlflow: {free_port()}}}\n")
    (project.root / "workspace.yaml").write_text(f"load_from: [{{python_module: {project.package}.definitions}}]\n")
    from mtac_assets.orchestration.instance import prepare_dagster_home

    prepare_dagster_home(project)
    with dg.DagsterInstance.from_config(str(project.state.dagster), COMMAND_LINE_CONFIG) as opened:
        made = Running(project, opened)
        try:
            yield made
        finally:
            made.stop()


def until(holds: Callable[[], bool], what: str, seconds: float = 420.0) -> float:
    """Seconds until `holds`."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            pytest.fail(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.1)
    return time.monotonic() - began


def command(process: psutil.Process) -> str:
    """Its command line; empty where it is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def kill(*processes: psutil.Process, children: bool = False) -> None:
    """Kill those that are not gone yet, after all that they have started where `children` are meant too."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if children:
                kill(*process.children(recursive=True))
            process.kill()


def drop(made: Path, landing: Path) -> None:
    """As a careful producer does: written elsewhere, renamed into place."""
    landing.mkdir(exist_ok=True)
    made.rename(landing / made.name)
