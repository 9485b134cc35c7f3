"""A project whose MLflow is real: SQLite in a temporary folder, its empty schema made once a session (1.6 s)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mtac_assets.spec.environment import Environment, Limits, Mlflow, Ports, Promotion
from mtac_assets.spec.project import Project
from mtac_assets.tracking.connection import connected
from mtac_assets_tests.browser import browser  # noqa: F401
from mtac_assets_tests.free_ports import free_port

if TYPE_CHECKING:
    from mlflow.entities import Run


def _environment() -> Environment:
    return Environment(
        schema_version=1,
        name="local",
        state="state",
        ports=Ports(webserver=free_port(), mlflow=free_port()),
        limits=Limits(run_seconds=3600),
        promotion=Promotion(branches=("*",), require_clean=False, require_approval=False),
    )


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = Project(tmp_path_factory.mktemp("schema"), "small", _environment())
    with connected(project, "the tests' schema") as client:
        client.search_experiments()
    return project.state.mlflow / "mlflow.db"


@pytest.fixture
def project(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with its own MLflow database; the current folder is its root, so that a stray `mlruns` would show."""
    made = Project(tmp_path / "project", "small", _environment())
    made.state.mlflow.mkdir(parents=True)
    made.environments.mkdir(parents=True)
    (made.root / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "small"\n')
    (made.environments / "local.yaml").write_text(made.environment.model_dump_json())  # JSON is YAML
    shutil.copyfile(empty_database, made.state.mlflow / "mlflow.db")
    monkeypatch.chdir(made.root)
    return made


@pytest.fixture
def unreachable(project: Project) -> Project:
    """The same project and state, while its MLflow is away: nothing listens where it should be."""
    address = f"http://127.0.0.1:{project.environment.ports.mlflow}"
    environment = project.environment.model_copy(update={"mlflow": Mlflow(tracking_uri=address)})
    return replace(project, environment=environment)


@pytest.fixture
def runs(project: Project) -> Callable[..., list[Run]]:
    """All MLflow runs of an experiment, oldest first; deleted ones too, for a stray run must not hide."""

    def find(experiment: str = "tides") -> list[Run]:
        from mlflow.entities import ViewType

        with connected(project, "the test's question") as client:
            found = client.get_experiment_by_name(experiment)
            if found is None:
                return []
            return list(
                client.search_runs(
                    [found.experiment_id], run_view_type=ViewType.ALL, order_by=["attributes.start_time ASC"]
                )
            )

    return find
