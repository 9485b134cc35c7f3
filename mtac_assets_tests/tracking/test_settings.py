from __future__ import annotations

from dataclasses import replace

import pytest

from mtac_assets.spec.environment import Mlflow
from mtac_assets.spec.project import Project
from mtac_assets.tracking import settings
from mtac_assets.tracking.errors import TrackingError
from mtac_assets.tracking.record import Recorder


def at(project: Project, uri: str | None) -> Project:
    return replace(project, environment=project.environment.model_copy(update={"mlflow": Mlflow(tracking_uri=uri)}))


def test_the_default_lies_under_the_state(project: Project) -> None:
    assert settings.tracking_uri(project) == f"sqlite:///{project.root}/state/mlflow/mlflow.db"
    assert settings.artifact_location(project, "tides") == f"file://{project.root}/state/mlflow/artifacts/tides"


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "databricks"])
def test_a_store_that_cannot_be_replayed_is_refused_before_anything_is_recorded(project: Project, uri: str) -> None:
    with pytest.raises(TrackingError) as caught:
        Recorder(at(project, uri))
    (finding,) = caught.value.findings
    assert uri in finding.error
    assert "mlflow.tracking_uri" in finding.where
    assert not project.state.outbox.exists()


def test_credentials_in_an_address_reach_no_page(project: Project) -> None:
    elsewhere = at(project, "https://anna:secret@mlflow.example:8443/base/")
    assert (
        settings.run_page(elsewhere, "1", "abc")
        == "https://mlflow.example:8443/base/#/experiments/1/runs/abc?workflowType=machine_learning"
    )
    assert settings.artifact_location(elsewhere, "tides") is None


def test_pickle_stays_forbidden_whatever_the_surroundings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    chosen = settings.child_environment()
    assert chosen["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert chosen["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "30"
    assert chosen["MLFLOW_DISABLE_TELEMETRY"] == "true"
