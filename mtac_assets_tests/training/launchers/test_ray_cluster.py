"""Workers that a real Ray places: on a cluster of two nodes, on one that is started for the training alone, and where one is killed."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project, find_project
from mtac_assets.training.errors import TrainingFailed, TrainingRefused, TrainingStopped
from mtac_assets.training.launch import train
from mtac_assets.training.pack import Pack
from mtac_assets_tests.free_ports import free_port
from mtac_assets_tests.texts import RECIPE, ingest_texts, make_texts

pytest.importorskip("ray", reason="Ray is not installed here: pip install 'mtac-assets[ray]'")

TWO_NODES = """
import sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
SHORT = ("training.micro_batch_size=16",)
LONG = (*SHORT, "training.epochs=60", "training.checkpoint_every_steps=50")


MARK, OURS = "MTAC_STARTED_BY", secrets.token_hex(8)  # what this process starts inherits it; tests run side by side


@pytest.fixture(autouse=True)
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, OURS)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The tiny project with `launcher: {kind: ray, workers: 2}`."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    try:
        import tiny_project
    finally:
        sys.path.pop(0)
    from mtac_assets.data.ingest import ingest

    made = find_project(tiny_project.write(tmp_path_factory.mktemp("shop")))
    assert [day.status for day in ingest(made, "shoes", ["all"]).days] == ["written"]
    return launched(made, "ray", 2)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short path, for sockets."""
    with tempfile.TemporaryDirectory(prefix="mtac-two-") as folder:
        yield Path(folder)


@pytest.fixture
def two_nodes(short: Path, marked: None) -> Iterator[dict[str, str]]:
    """Variables of a driver of a cluster of two nodes with one CPU each."""
    variables = {**os.environ, "RAY_TMPDIR": str(short), "RAY_USAGE_STATS_ENABLED": "0"}
    before = set(psutil.pids())
    held = subprocess.Popen(
        [sys.executable, "-c", TWO_NODES],
        env=variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert held.stdin is not None
    assert held.stdout is not None
    with nothing_left(*CLUSTER, before=before):
        try:
            yield {"RAY_ADDRESS": held.stdout.readline().strip(), "RAY_TMPDIR": str(short)}
        finally:
            held.stdin.close()
            held.wait(60)


TRAINING = ("mtac_assets.training", "guard.py", "ray::RayTrainWorker", "ray::TrainController")
CLUSTER = ("raylet", "gcs_server", "ray::")


@contextmanager
def nothing_left(*names: str, before: set[int] | None = None) -> Iterator[None]:
    """No process of ours that was not there `before` (now), and whose command line has one of `names`, outlives the block."""
    before = set(psutil.pids()) if before is None else before
    yield
    deadline = time.monotonic() + 20
    while left := [one for one in _named(*names) if one.pid not in before]:
        assert time.monotonic() < deadline, [one.cmdline() for one in left]
        time.sleep(0.2)


def _named(*names: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            line, ours = " ".join(process.cmdline()), process.environ().get(MARK) == OURS
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if ours and any(name in line for name in names):
            found.append(process)
    return found


def alone(project: Project, *overrides: str, out: Path, name: str = "fit") -> Pack:
    one = launched(project, "process", 1)
    return train(one, load_recipe(one, name, overrides), out, "alone")


def launched(project: Project, kind: str, workers: int) -> Project:
    """The project in an environment with this launcher."""
    launcher = project.environment.launcher.model_copy(update={"kind": kind, "workers": workers})
    return replace(project, environment=project.environment.model_copy(update={"launcher": launcher}))


@pytest.mark.slow
def test_a_language_model_on_two_nodes_has_the_bits_of_one_process(tmp_path, two_nodes):
    texts = make_texts(tmp_path / "texts", RECIPE.replace("from_step: 40", "from_step: 4"))
    ingest_texts(texts)
    few = ("mix.tokens=1000",)
    expected = alone(texts, *few, out=tmp_path / "one", name="small_lm")
    several = launched(texts, "ray", 2)
    with nothing_left(*TRAINING):
        pack = train(
            several, load_recipe(several, "small_lm", few), tmp_path / "two", "a", environment_variables=two_nodes
        )
    assert pack.document("digests") == expected.document("digests")
    assert pack.model_id == expected.model_id


@pytest.mark.slow
def test_two_nodes_give_the_bits_of_one_process(project, tmp_path, two_nodes):
    expected = alone(project, *SHORT, out=tmp_path / "one")
    with nothing_left(*TRAINING):
        pack = train(
            project, load_recipe(project, "fit", SHORT), tmp_path / "two", "a", environment_variables=two_nodes
        )
    assert pack.document("digests") == expected.document("digests")
    with pytest.raises(TrainingRefused, match="room for 2 workers on 2 nodes"):
        train(project, load_recipe(project, "fit"), tmp_path / "four", "b", environment_variables=two_nodes, workers=4)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".ray")]


@pytest.mark.slow
def test_a_worker_that_is_killed_is_named_and_the_next_attempt_comes_to_the_same_bits(project, tmp_path, two_nodes):
    out = tmp_path / "two"

    def kill() -> None:
        while not list(out.glob("checkpoints/step-*.json")):
            time.sleep(0.02)
        (victim,) = [one for one in _named(*TRAINING) if _rank(one, out) == "1"]
        victim.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with (
        nothing_left(*TRAINING),
        pytest.raises(TrainingFailed, match="worker 1 of 2 was ended by SIGKILL") as caught,
    ):
        train(project, load_recipe(project, "fit", LONG), out, "first", environment_variables=two_nodes)
    thread.join()
    assert caught.value.kind == "killed"
    assert not (out / "pack.json").exists()
    resumed = alone(project, *LONG, out=out)  # any launcher, any number of workers
    assert resumed.document("training")["resumed_at"] >= 50
    assert resumed.document("digests") == alone(project, *LONG, out=tmp_path / "one").document("digests")


@pytest.mark.slow
def test_a_trainer_whose_ray_worker_is_killed_ends_with_it_and_is_named(project, tmp_path, two_nodes):
    out = tmp_path / "two"

    def kill() -> None:
        while not list(out.glob("checkpoints/step-*.json")):
            time.sleep(0.02)
        (trainer,) = [one for one in _named(*TRAINING) if _rank(one, out) == "1"]
        of_ray = trainer.parents()[1]  # its own parent is the guard
        assert of_ray.cmdline()[0].startswith("ray::"), of_ray.cmdline()
        of_ray.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with (
        nothing_left(*TRAINING),
        pytest.raises(TrainingFailed, match=r"worker 1 (of 2 was lost to Ray|does not answer)"),
    ):
        train(project, load_recipe(project, "fit", LONG), out, "first", environment_variables=two_nodes)
    thread.join()
    assert not (out / "pack.json").exists()


@pytest.mark.slow
def test_a_cluster_started_for_the_training_stops_with_the_state_saved_and_ends_with_it(project, tmp_path, short):
    out = tmp_path / "two"

    def stop() -> None:
        while not list(out.glob("checkpoints/step-*.json")):
            time.sleep(0.02)
        (driver,) = [one for one in _named(*TRAINING) if "mtac_assets.training.launchers.ray_cluster" in one.cmdline()]
        os.killpg(driver.pid, signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    with nothing_left(*TRAINING, *CLUSTER), pytest.raises(TrainingStopped, match="the state is saved"):
        train(project, load_recipe(project, "fit", LONG), out, "first", environment_variables={"TMPDIR": str(short)})
    thread.join()
    assert list(short.iterdir()) == []


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_named(project, tmp_path):
    nowhere = {"RAY_ADDRESS": f"127.0.0.1:{free_port()}"}
    with pytest.raises(TrainingRefused, match="no Ray cluster answers"):
        train(project, load_recipe(project, "fit"), tmp_path / "out", "first", environment_variables=nowhere)


def _rank(process: psutil.Process, out: Path) -> str | None:
    line = process.cmdline()
    trainer = line[1:3] == ["-m", "mtac_assets.training"] and str(out) in line
    return process.environ().get("RANK") if trainer else None
