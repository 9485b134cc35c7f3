from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.spec import clock
from mtac_assets.spec.environment import Mlflow
from mtac_assets.spec.project import Project
from mtac_assets.tracking import delivery, outbox
from mtac_assets.tracking.connection import connected
from mtac_assets.tracking.description import DataInput, Training
from mtac_assets.tracking.record import Flushed, Point, Recorder, at_start, close_orphans, flush

Runs = Callable[..., list[Any]]
NOON = datetime(2013, 7, 15, 12, tzinfo=UTC)
DIGEST = "ab" * 32


def training(**changes: Any) -> Training:
    values: dict[str, Any] = {
        "experiment": "tides",
        "model_id": "tides-0123456789ab",
        "recipe": {"name": "tides", "training": {"epochs": 3, "seed": 7}, "data": {"lookups": ["weather"]}},
        "data": (DataInput("readings", {"2013-07-01": DIGEST, "2013-07-02": "cd" * 32}),),
        "environment": {"torch": "2.13.0"},
        "tags": {"mtac.fingerprint": DIGEST},
        "dagster_run_id": "5c0ffee5",
    }
    return Training(**(values | changes))


def losses(count: int) -> list[Point]:
    return [Point("loss", 1 / (step + 1), step, NOON + timedelta(seconds=step)) for step in range(count)]


def history(project: Project, run_id: str, metric: str) -> list[Any]:
    with connected(project, "the test's question") as client:
        return client.get_metric_history(run_id, metric)


def artifact(project: Project, run_id: str, name: str) -> bytes:
    with connected(project, "the test's question") as client:
        return Path(client.download_artifacts(run_id, name)).read_bytes()


def test_one_run_holds_all_that_a_training_was(project: Project, runs: Runs) -> None:
    report = project.root / "report.html"
    report.write_text("<h1>Tides</h1>")
    recorder = Recorder(project).start(training())
    recorder.metrics(losses(2500))
    recorder.values({"test/roc_auc": 0.75})
    recorder.artifacts({"report/report.html": report})
    outcome = recorder.finish()

    (run,) = runs()
    assert outcome.delivered
    assert outcome.warnings == ()
    page = f"experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert outcome.url is not None
    assert outcome.url.startswith(f"http://127.0.0.1:{project.environment.ports.mlflow}/#/{page}")
    assert run.info.status == "FINISHED"
    assert run.data.params["training.epochs"] == "3"
    assert run.data.params["data.lookups"] == '["weather"]'
    assert run.data.tags["mtac.model_id"] == "tides-0123456789ab"
    assert run.data.tags["environment.torch"] == "2.13.0"
    page = f"http://127.0.0.1:{project.environment.ports.webserver}/runs/5c0ffee5"
    assert run.data.tags["dagster.run_url"] == page
    assert page in run.data.tags["mlflow.note.content"]
    assert [(point.step, point.value) for point in history(project, run.info.run_id, "loss")] == [
        (point.step, point.value) for point in losses(2500)
    ]
    assert run.data.metrics["test/roc_auc"] == 0.75
    assert artifact(project, run.info.run_id, "report/report.html") == b"<h1>Tides</h1>"
    assert json.loads(artifact(project, run.info.run_id, "recipe.json"))["training"] == {"epochs": 3, "seed": 7}
    (dataset,) = [entry.dataset for entry in run.inputs.dataset_inputs]
    assert dataset.name == "readings"
    assert json.loads(dataset.source)["sha256"] == training().data[0].digest
    assert json.loads(dataset.profile) == {"first": "2013-07-01", "last": "2013-07-02", "partitions": 2}
    assert outbox.recordings(project.state.outbox) == []
    assert sorted(path.name for path in project.root.iterdir()) == ["pyproject.toml", "report.html", "small", "state"]


def test_the_dataset_digest_sees_what_mlflows_own_does_not(project: Project) -> None:
    one = DataInput("readings", {"2013-07-01": DIGEST})
    other = DataInput("readings", {"2013-07-01": DIGEST[:-1] + "0"})
    assert one.digest[:36] != other.digest[:36]


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_is_closed_by_what_ended_its_block(
    project: Project, runs: Runs, error: type[BaseException], status: str
) -> None:
    def interrupted() -> None:
        with Recorder(project).start(training()) as recorder:
            recorder.values({"loss": 1.0})
            raise error

    with pytest.raises(error):
        interrupted()
    (run,) = runs()
    assert run.info.status == status
    assert run.info.end_time is not None


def test_a_loss_that_is_no_number_is_recorded_as_such(project: Project, runs: Runs) -> None:
    with Recorder(project).start(training()) as recorder:
        recorder.values({"loss": math.nan, "norm": math.inf})
    (run,) = runs()
    assert math.isnan(run.data.metrics["loss"])
    assert run.data.metrics["norm"] > 1e300


def test_an_amendment_adds_to_the_models_run_and_leaves_its_status(project: Project, runs: Runs) -> None:
    with Recorder(project).start(training(model_id="tides-ffffffffffff")):
        pass
    with Recorder(project).start(training()):
        pass

    def failing_evaluation() -> None:
        with Recorder(project).amend("tides", "tides-0123456789ab") as recorder:
            recorder.values({"test/brier": 0.2})
            raise ValueError

    with pytest.raises(ValueError):
        failing_evaluation()
    first, second = runs()
    assert (first.info.status, second.info.status) == ("FINISHED", "FINISHED")
    assert "test/brier" not in first.data.metrics
    assert second.data.metrics["test/brier"] == 0.2


def test_an_amendment_of_a_run_that_mlflow_lost_makes_a_closed_one(project: Project, runs: Runs) -> None:
    with Recorder(project).amend("tides", "tides-0123456789ab") as recorder:
        recorder.values({"test/brier": 0.2})
    (run,) = runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["mtac.model_id"] == "tides-0123456789ab"


def test_while_mlflow_is_away_the_training_goes_on_and_the_recording_waits(
    project: Project, unreachable: Project, runs: Runs, tmp_path: Path
) -> None:
    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"\x01\x02")
    began = time.monotonic()
    recorder = Recorder(unreachable).start(training())
    recorder.metrics(losses(10))
    recorder.artifacts({"pack/weights.bin": weights})
    outcome = recorder.finish("FINISHED")
    assert time.monotonic() - began < 4.0
    assert not outcome.delivered
    assert outcome.url is None
    assert "queued" in outcome.warnings[0].remedy

    still_away = at_start(unreachable)
    assert still_away.queued == (outcome.recording_id,)
    assert len(still_away.warnings) == 1

    weights.unlink()  # the recording keeps what it recorded
    assert at_start(project).sent == (outcome.recording_id,)
    (run,) = runs()
    assert run.info.status == "FINISHED"
    assert len(history(project, run.info.run_id, "loss")) == 10
    assert artifact(project, run.info.run_id, "pack/weights.bin") == b"\x01\x02"
    assert at_start(project).sent == ()


def test_what_the_environment_does_not_deliver_waits_until_it_does(project: Project, runs: Runs) -> None:
    environment = project.environment.model_copy(update={"mlflow": Mlflow(deliver=False)})
    silent = replace(project, environment=environment)
    outcome = Recorder(silent).start(training()).finish()
    assert not outcome.delivered
    assert outcome.url is None
    assert outcome.warnings == ()
    assert at_start(silent) == Flushed(queued=(outcome.recording_id,))
    assert runs() == []

    assert at_start(project).sent == (outcome.recording_id,)
    assert [run.info.status for run in runs()] == ["FINISHED"]


def test_an_mlflow_that_is_away_is_asked_once_however_much_is_queued(unreachable: Project) -> None:
    for _ in range(4):
        with Recorder(unreachable).start(training()):
            pass
    result = flush(unreachable)
    assert len(result.queued) == 4
    assert len(result.warnings) == 1


def test_a_replay_from_any_point_makes_no_second_run_and_no_second_metric(
    project: Project, unreachable: Project, runs: Runs, tmp_path: Path
) -> None:
    recorder = Recorder(unreachable).start(training())
    for start in range(0, 40, 10):
        recorder.metrics(losses(40)[start : start + 10])
    recorder.tags({"note": "kept"})
    recording_id = recorder.finish().recording_id
    saved = tmp_path / "saved"
    shutil.copytree(project.state.outbox / recording_id, saved)
    documents = len(outbox.Folder(saved).sequences())

    assert flush(project).sent == (recording_id,)
    run_id, experiment_id = runs()[0].info.run_id, runs()[0].info.experiment_id
    state = {
        "store": f"sqlite:///{project.state.mlflow / 'mlflow.db'}",
        "run_id": run_id,
        "experiment_id": experiment_id,
    }
    for delivered in (None, *range(documents + 1)):  # what a kill may have left of the marker of progress
        folder = outbox.Folder(Path(shutil.copytree(saved, project.state.outbox / recording_id)))
        if delivered is not None:
            folder.mark_delivered(state | {"sequence": delivered})
        assert flush(project).sent == (recording_id,)
        (run,) = runs()
        assert len(history(project, run.info.run_id, "loss")) == 40
        assert run.info.status == "FINISHED"


def test_of_two_runs_for_one_recording_only_one_stays(project: Project, unreachable: Project, runs: Runs) -> None:
    recording_id = Recorder(unreachable).start(training()).finish().recording_id
    with connected(project, "requests answered too late") as client:
        experiment = client.create_experiment("tides")
        for moment in (1, 2):
            client.create_run(experiment, start_time=moment, tags={"mtac.recording_id": recording_id})
    assert flush(project).sent == (recording_id,)
    alive = [run for run in runs() if run.info.lifecycle_stage == "active"]
    assert [run.info.start_time for run in alive] == [1]
    assert alive[0].info.status == "FINISHED"


def test_what_mlflow_refuses_is_set_aside_and_holds_nothing_up(
    project: Project, unreachable: Project, runs: Runs
) -> None:
    changed = Recorder(unreachable).start(training()).finish().recording_id
    good = Recorder(unreachable).start(training(model_id="tides-ffffffffffff")).finish().recording_id
    kept = project.state.outbox / changed / outbox.FILES / "recipe.json"
    kept.write_text("{}")
    result = flush(project)
    assert result.rejected == (changed,)
    assert result.sent == (good,)
    assert "recipe.json" in result.warnings[0].error
    assert (project.state.outbox / outbox.REJECTED / changed / outbox.HEADER).exists()
    assert flush(project).rejected == ()


def test_a_run_deleted_by_hand_while_it_is_recorded_ends_the_recording_with_a_warning(
    project: Project, runs: Runs
) -> None:
    recorder = Recorder(project).start(training())
    deadline = time.monotonic() + 60
    while not runs() and time.monotonic() < deadline:
        time.sleep(0.1)
    with connected(project, "a person's click") as client:
        client.delete_run(runs()[0].info.run_id)
    recorder.values({"loss": 1.0})
    outcome = recorder.finish()
    assert not outcome.delivered
    assert "refuses" in outcome.warnings[0].error
    assert flush(project).queued == ()


def test_what_is_recorded_while_a_delivery_is_under_way_reaches_mlflow_too(
    project: Project, unreachable: Project, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a training may fall into the very moment in which what came before it is delivered."""
    recorder = Recorder(unreachable).start(training())
    (folder,) = outbox.recordings(project.state.outbox)
    first = folder.sequences()[0]
    apply = delivery.APPLY[folder.document(first)["kind"]]

    def while_the_last_waiting_is_applied(*arguments: Any) -> None:
        monkeypatch.undo()
        apply(*arguments)
        recorder.values({"loss": 0.25})
        folder.append("finish", 1, {"status": "FINISHED"})

    assert folder.sequences() == [first]
    monkeypatch.setitem(delivery.APPLY, folder.document(first)["kind"], while_the_last_waiting_is_applied)
    delivered = delivery.deliver(project, folder)
    assert delivered is not None
    assert delivered.complete
    (run,) = runs()
    assert run.data.metrics == {"loss": 0.25}
    assert run.info.status == "FINISHED"
    assert not folder.path.exists()


@pytest.mark.fault
def test_a_killed_training_leaves_a_closed_run(project: Project, runs: Runs, tmp_path: Path) -> None:
    script = tmp_path / "record.py"
    script.write_text(
        "import time\n"
        "from mtac_assets.spec.project import find_project\n"
        "from mtac_assets.tracking.description import Training\n"
        "from mtac_assets.tracking.record import Recorder\n"
        "recorder = Recorder(find_project()).start(Training('tides', 'tides-0123456789ab', {'name': 'tides'}))\n"
        "recorder.values({'loss': 1.0}, step=1)\n"
        "print('recording', flush=True)\n"
        "time.sleep(120)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "recording\n"
        deadline = time.monotonic() + 90
        while not (found := runs()) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert found[0].info.status == "RUNNING"
        assert at_start(project).sent == (), "a living process's recording must be left alone"
        child.send_signal(signal.SIGKILL)
    result = at_start(project)
    assert len(result.sent) == 1
    (run,) = runs()
    assert run.info.status == "KILLED"
    assert run.data.metrics["loss"] == 1.0
    assert str(child.pid) in run.data.tags["mtac.closed"]


def test_an_orphan_ends_when_it_was_last_heard_of(project: Project, unreachable: Project, runs: Runs) -> None:
    clock.set_clock(lambda: NOON)
    try:
        recorder = Recorder(unreachable).start(training())
    finally:
        clock.set_clock(None)
    folder = outbox.recordings(project.state.outbox)[0]
    header = json.loads((folder.path / outbox.HEADER).read_text())
    header["writer"]["boot_id"] = "a boot before this one"
    (folder.path / outbox.HEADER).write_text(json.dumps(header))
    assert close_orphans(project) == (folder.recording_id,)
    assert close_orphans(project) == ()
    assert flush(project).sent == (folder.recording_id,)
    (run,) = runs()
    assert run.info.status == "KILLED"
    assert run.info.end_time == int(NOON.timestamp() * 1000)
    del recorder


def test_an_empty_outbox_costs_no_import_of_mlflow(project: Project) -> None:
    code = (
        "import sys, time\n"
        "from types import SimpleNamespace as Space\n"
        "from pathlib import Path\n"
        "from mtac_assets.tracking.record import at_start\n"
        "began = time.perf_counter()\n"
        "at_start(Space(state=Space(outbox=Path('state/outbox'))))\n"
        "print(time.perf_counter() - began < 0.05, {'mlflow', 'pandas', 'dagster'} & set(sys.modules))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert answer.stdout.strip() == "True set()"
