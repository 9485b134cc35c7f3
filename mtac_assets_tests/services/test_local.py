"""`mtac up` with the real Dagster and the real MLflow, over a small project of a team's own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from mtac_assets.services import health, local
from mtac_assets.services.local import NotStartable
from mtac_assets.spec.environment import Environment, Limits, Mlflow, Ports, Promotion
from mtac_assets.spec.project import Project
from mtac_assets_tests.free_ports import free_port

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = """
import dagster as dg

@dg.asset
def tide() -> None: ...

defs = dg.Definitions(assets=[tide], schedules=[dg.ScheduleDefinition(name="nightly", cron_schedule="0 3 * * *", target=[tide])])
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    environment = Environment(
        schema_version=1,
        name="local",
        state=".mtac",
        ports=Ports(webserver=free_port(), mlflow=free_port()),
        limits=Limits(run_seconds=3600),
        promotion=Promotion(branches=("*",), require_clean=False, require_approval=False),
    )
    made = Project(tmp_path / "tides", "small_tides", environment)
    made.environments.mkdir(parents=True)
    (made.environments / "local.yaml").write_text(environment.model_dump_json())
    (made.root / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "small_tides"\n')
    (made.root / "workspace.yaml").write_text("load_from: [{python_module: small_tides.definitions}]\n")
    (made.package_folder / "__init__.py").touch()
    (made.package_folder / "definitions.py").write_text(DEFINITIONS)
    return made


def start_up(project: Project) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(project.root.parent / "home")}
    return subprocess.Popen(
        [sys.executable, "-m", "mtac_assets.cli", "up", "--json"],
        cwd=project.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def using(folder: Path) -> list[psutil.Process]:
    """Processes whose command line or current folder lies in `folder`: whatever `mtac up` may have left there."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join(process.cmdline()) or process.cwd().startswith(str(folder)):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def locations(url: str) -> list[str]:
    query = {"query": "{ repositoriesOrError { ... on RepositoryConnection { nodes { location { name } } } } }"}
    request = urllib.request.Request(
        f"{url}/graphql", data=json.dumps(query).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        nodes = json.loads(answer.read())["data"]["repositoriesOrError"]["nodes"]
    return [node["location"]["name"] for node in nodes]


def until_up(up: subprocess.Popen[str]) -> dict[str, dict[str, str]]:
    """The services that `mtac up --json` names once they all answer."""
    assert up.stdout is not None
    text = ""
    while line := up.stdout.readline():
        text += line
        if line == "}\n":
            said = json.loads(text)
            if "services" not in said:
                pytest.fail(f"it did not come up: {text}")
            return {entry["name"]: entry for entry in said["services"]}
    assert up.stderr is not None
    pytest.fail(f"it ended before it was up: {text}{up.stderr.read()}")


def test_up_serves_both_pages_and_an_interrupt_leaves_nothing(project: Project) -> None:
    with start_up(project) as up:
        try:
            services = until_up(up)
            assert up.stderr is not None
            dagster = f"http://127.0.0.1:{project.environment.ports.webserver}"
            assert services["Dagster"]["url"] == dagster
            assert locations(dagster) == ["small_tides.definitions"]
            assert health.daemons_healthy(dagster)
            with urllib.request.urlopen(services["MLflow"]["url"], timeout=30) as page:
                assert b"MLflow" in page.read()
            up.send_signal(signal.SIGINT)
            errors = up.stderr.read()
            assert up.wait(60) == 0, errors
        finally:
            up.kill()
    assert "all stopped" in errors
    assert using(project.root) == []
    assert sorted(path.name for path in project.root.iterdir()) == [
        ".mtac",
        "pyproject.toml",
        "small_tides",
        "workspace.yaml",
    ]
    assert all(Path(entry["log"]).stat().st_size > 0 for entry in services.values())


@pytest.mark.fault
def test_kill_minus_nine_of_up_leaves_no_orphan(project: Project) -> None:
    with start_up(project) as up:
        until_up(up)
        assert len(using(project.root)) > 6
        up.kill()
    deadline = time.monotonic() + 60
    while (left := using(project.root)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


def test_a_taken_port_is_an_error_and_nothing_is_started(project: Project) -> None:
    with (
        socket.create_server(("127.0.0.1", project.environment.ports.mlflow)),
        start_up(project) as up,
    ):
        output, errors = up.communicate(timeout=120)
    assert up.returncode == 2, errors
    (error,) = json.loads(output)["errors"]
    assert f"port {project.environment.ports.mlflow} is taken" in error["error"]
    assert f"process {os.getpid()}" in error["error"]
    assert error["where"] == "environments/local.yaml: ports.mlflow"
    assert using(project.root) == []


def test_an_mlflow_elsewhere_is_not_started_here(project: Project) -> None:
    address = Mlflow(tracking_uri="https://mlflow.example")
    elsewhere = Project(project.root, project.package, project.environment.model_copy(update={"mlflow": address}))
    assert [entry.name for entry in local.services(elsewhere, {})] == ["Dagster", "Dagster daemon"]
    assert list(local.ports(elsewhere)) == ["webserver"]


def test_without_a_workspace_file_there_is_nothing_to_load(project: Project) -> None:
    (project.root / "workspace.yaml").unlink()
    with pytest.raises(NotStartable, match=r"no workspace\.yaml"):
        local.services(project, {})


def test_one_state_has_one_up(project: Project) -> None:
    with local.only_one(project), pytest.raises(NotStartable) as caught, local.only_one(project):
        pytest.fail("a second one began")
    assert str(os.getpid()) in caught.value.findings[0].error
    with local.only_one(project):
        pass


def test_services_never_speak_home(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    for entry in local.services(project, {}):
        assert entry.environment["DAGSTER_DISABLE_TELEMETRY"] == "1"
        assert entry.environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert entry.environment["PYTHONSAFEPATH"] == ""
        assert "127.0.0.1" in " ".join(entry.command) or entry.url is None
