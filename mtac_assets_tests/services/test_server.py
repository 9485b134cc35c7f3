"""A deployment's services as data: whole commands, one secret in one place, and plain words where there is no deployment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mtac_assets.services.local import NotStartable
from mtac_assets.services.server import NAMES, healthy, process, server_of
from mtac_assets.spec.environment import Postgres
from mtac_assets.spec.project import Project
from mtac_assets.tracking.settings import dagster_run_page, page_root, tracking_uri
from mtac_assets_tests.served import served
from mtac_assets_tests.tides import make_project

PASSWORD = "in its file alone"


@pytest.fixture
def local(tmp_path: Path) -> Project:
    return make_project(tmp_path / "coast")


@pytest.fixture
def project(local: Project, tmp_path: Path) -> Project:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    settings = Postgres(host="127.0.0.1", port=1, user="mtac", password_file=str(secret))
    return served(local, tmp_path, settings)


def mtac(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mtac_assets.cli", *arguments],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_password_is_in_mlflows_environment_and_nowhere_else(project: Project) -> None:
    for name in NAMES:
        found = process(project, name, "coast.definitions", {"APP_ENV": "local"})
        assert PASSWORD not in " ".join(found.command)
        assert (PASSWORD in found.environment.values()) == (name == "mlflow")
        assert found.environment["APP_ENV"] == "local"
        assert found.folder.is_dir()


def test_each_listens_where_the_others_look(project: Project) -> None:
    server = server_of(project)
    for name in ("code", "webserver", "viewer", "mlflow"):
        command = process(project, name, "coast.definitions", {}).command
        assert str(getattr(server.addresses, name).port) in command
        assert server.listen in command
    viewer = process(project, "viewer", "coast.definitions", {}).command
    assert "--read-only" in viewer
    assert "--read-only" not in process(project, "webserver", "coast.definitions", {}).command
    assert tracking_uri(project) == f"http://127.0.0.1:{server.addresses.mlflow.port}/mlflow"
    assert page_root(project) == f"{server.page}/mlflow"
    assert dagster_run_page(project, "7") == f"{server.page}/runs/7"


def test_where_nothing_runs_nothing_is_healthy(project: Project) -> None:
    assert not any(healthy(project, name) for name in NAMES)
    done = mtac(project, "service", "mlflow", "--healthy")
    assert done.returncode == 1


def test_one_machine_and_a_deployment_are_not_mixed_up(local: Project, tmp_path: Path) -> None:
    with pytest.raises(NotStartable, match="one machine"):
        server_of(local)
    done = mtac(local, "service", "code")
    assert done.returncode == 2
    assert "mtac up" in done.stderr
    settings = Postgres(host="127.0.0.1", port=1, user="mtac", password_file=str(tmp_path / "none"))
    deployment = served(local, tmp_path, settings)
    done = mtac(deployment, "up")
    assert done.returncode == 2
    assert "run apart" in done.stderr
    done = mtac(deployment, "service", "prepare")
    assert done.returncode == 2
    assert "the secret cannot be read" in done.stderr
