"""Against a real MLflow server: queued while it is away, sent when it is back, and its page looked at."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mtac_assets.services import health, local
from mtac_assets.spec.environment import Mlflow
from mtac_assets.spec.project import Project
from mtac_assets.tracking import registry
from mtac_assets.tracking.connection import connected
from mtac_assets.tracking.description import DataInput, Training
from mtac_assets.tracking.record import Outcome, Point, Recorder, flush
from mtac_assets.training.launchers.guard import command_line
from mtac_assets_tests.browser import Browser

NOON = datetime(2013, 7, 15, 12, tzinfo=UTC)


def record(project: Project) -> Outcome:
    training = Training(
        "tides",
        "tides-0123456789ab",
        {"name": "tides", "training": {"learning_rate": 0.002}},
        data=(DataInput("readings", {"2013-07-01": "ab" * 32}),),
        environment={"torch": "2.13.0"},
        dagster_run_id="5c0ffee5",
    )
    with Recorder(project).start(training) as recorder:
        points = [Point("loss", 0.7 / (1 + step / 20), step, NOON + timedelta(seconds=step)) for step in range(200)]
        recorder.metrics(points)
        recorder.documents({"report/report.json": {"roc_auc": 0.71}})
        return recorder.finish()


@pytest.fixture
def served(project: Project, unreachable: Project) -> Iterator[Project]:
    """The project through its own MLflow server, as `mtac up` starts it; gone when the test is."""
    (service,) = [entry for entry in local.services(project, {}) if entry.name == "MLflow"]
    service.log.parent.mkdir(parents=True)
    with service.log.open("wb") as log:
        server = subprocess.Popen(
            command_line(list(service.command)),
            cwd=service.folder,
            env={**service.environment, "PATH": "/usr/bin:/bin"},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + 120
    try:
        while not service.healthy():
            assert server.poll() is None, service.log.read_text()
            assert time.monotonic() < deadline, service.log.read_text()
            time.sleep(0.2)
        yield unreachable
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait(30)
    assert not health.answers(f"{service.url}/health")


@pytest.fixture(autouse=True)
def workspace(project: Project) -> None:
    (project.root / local.WORKSPACE).write_text("load_from: []\n")


@pytest.mark.browser
def test_what_waited_for_the_server_is_sent_and_shows_on_its_page(
    project: Project, unreachable: Project, request: pytest.FixtureRequest
) -> None:
    waiting = record(unreachable)
    assert not waiting.delivered

    served: Project = request.getfixturevalue("served")
    assert flush(served).sent == (waiting.recording_id,)
    with connected(served, "the test's question") as client:
        experiment = client.get_experiment_by_name("tides")
        assert experiment is not None
        (run,) = client.search_runs([experiment.experiment_id])
        assert run.info.status == "FINISHED"
        assert len(client.get_metric_history(run.info.run_id, "loss")) == 200
        assert [entry.path for entry in client.list_artifacts(run.info.run_id, "report")] == ["report/report.json"]

    # A server is stricter than a database: it refuses versions that lie in a folder.
    registry.register(served, "tides", "tides-0123456789ab")
    registry.set_alias(served, "tides", "champion", "tides-0123456789ab")
    assert registry.aliases(served, "tides") == {"champion": "tides-0123456789ab"}
    with connected(served, "the test's question") as client:
        version = client.get_model_version_by_alias("tides", "champion")
    assert (version.run_id, version.source) == (run.info.run_id, "git:///refs/mtac/models/tides-0123456789ab")

    # A second training, recorded straight into the database beside the running server.
    outcome = record(replace(served, environment=served.environment.model_copy(update={"mlflow": Mlflow()})))
    assert outcome.delivered
    assert outcome.url is not None

    browser: Browser = request.getfixturevalue("browser")
    browser.open(outcome.url)
    browser.wait_for_text("tides-0123456789ab", "training.learning_rate", "0.002", "readings", "Dagster run 5c0ffee5")
    assert "Evaluation runs" not in browser.text, "that is the view for language models"
    browser.screenshot("mlflow-run")
    page, _, view = outcome.url.rpartition("?")
    browser.open(f"{page}/model-metrics?{view}")
    browser.wait_for_text("loss")
    drawn = (
        "return document.querySelectorAll('svg.main-svg path, .js-plotly-plot path, canvas, .recharts-curve').length"
    )
    browser.wait_until(lambda: int(browser.driver.execute_script(drawn)) > 0, "the curve of the loss")
    browser.screenshot("mlflow-metrics")
    browser.open(f"{page}/artifacts?{view}")
    browser.wait_for_text("recipe.json", "environment.json", "report")
    browser.screenshot("mlflow-artifacts")
