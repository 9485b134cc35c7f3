"""The launcher and the probe over a team's own project, with the trainer's own command line underneath."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pandas
import psutil
import pytest

from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project, find_project
from mtac_assets.training import launch, own_limit
from mtac_assets.training.child import variables
from mtac_assets.training.errors import (
    NotDeterministic,
    OutOfMemory,
    TrainerKilled,
    TrainingFailed,
    TrainingRefused,
    TrainingStopped,
)
from mtac_assets.training.launch import train
from mtac_assets.training.predict import load
from mtac_assets.training.probe import probe


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        import tiny_project
    finally:
        sys.path.pop(0)
    from mtac_assets.data.ingest import ingest

    made = find_project(tiny_project.write(tmp_path_factory.mktemp("shop")))
    assert [day.status for day in ingest(made, "shoes", ["all"]).days] == ["written"]
    return made


def recipe(project: Project, *overrides: str):
    return load_recipe(project, "fit", overrides)


OWN = ("model.kind=own:build",)


def test_a_recipe_becomes_a_pack_that_predicts(project, tmp_path):
    seen = []
    pack = train(project, recipe(project), tmp_path / "out", "one", on_progress=seen.append)
    pack.verify()
    assert pack.model_id.startswith("fit-")
    steps = [record["step"] for record in seen if record["kind"] == "step"]
    assert steps == sorted(steps)
    assert steps[-1] == pack.document("training")["steps"]
    frame = pandas.DataFrame(
        {"make": ["a", "b", None, "zzz"], "length": [29.0, 21.0, None, 25.0], "other": [1, 2, 3, 4]}
    )
    scores = load(tmp_path / "out").predict(frame)
    assert scores.shape == (4,)
    assert scores[0] > 0.6
    assert scores[1] < 0.4
    assert load(tmp_path / "out").predict(frame[::-1]).tolist() == pytest.approx(scores[::-1].tolist(), abs=1e-7)
    with pytest.raises(MtacError, match="length"):
        load(tmp_path / "out").predict(frame.drop(columns="length"))
    again = train(project, recipe(project), tmp_path / "again", "two")
    assert again.weights_digest == pack.weights_digest


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["process", "torchrun"])  # Ray: launchers/test_ray_cluster.py
def test_every_launcher_runs_the_same_trainer_to_the_same_bits(project, tmp_path, kind):
    launcher = project.environment.launcher.model_copy(update={"kind": kind, "workers": 2})
    several = replace(project, environment=project.environment.model_copy(update={"launcher": launcher}))
    shared = recipe(project, "training.micro_batch_size=16")
    packs = [train(project, shared, tmp_path / "one", "a"), train(several, shared, tmp_path / "two", "b")]
    assert packs[0].document("digests") == packs[1].document("digests")
    with pytest.raises(TrainingRefused, match="cannot be shared out among 4 workers"):
        train(several, shared, tmp_path / "four", "c", workers=4)


@pytest.mark.fault
def test_a_worker_that_dies_under_torchrun_ends_all_and_is_made_up_for(project, tmp_path):
    """torchrun starts none again; the next attempt, by another launcher, comes to the bits of an undisturbed training."""
    launcher = project.environment.launcher.model_copy(update={"kind": "torchrun", "workers": 2})
    several = replace(project, environment=project.environment.model_copy(update={"launcher": launcher}))
    long = recipe(project, "training.micro_batch_size=16", "training.epochs=60", "training.checkpoint_every_steps=50")
    out = tmp_path / "two"

    def ours() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if str(out) in process.cmdline() and "RANK" in process.environ():
                    found.append(process)
        return found

    def kill() -> None:
        while not list(out.glob("checkpoints/step-*.json")):
            time.sleep(0.02)
        next(one for one in ours() if one.environ()["RANK"] == "1").kill()

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(TrainingFailed, match="worker 1"):
        train(several, long, out, "first")
    thread.join()
    assert not ours()
    assert not (out / "pack.json").exists()
    resumed = train(project, long, out, "second")
    assert resumed.document("training")["resumed_at"] >= 50
    assert resumed.document("digests") == train(project, long, tmp_path / "one", "alone").document("digests")


def test_a_launcher_that_is_not_installed_is_named(project, tmp_path):
    if find_spec("ray") is not None:
        pytest.skip("Ray is installed here")
    launcher = project.environment.launcher.model_copy(update={"kind": "ray"})
    other = replace(project, environment=project.environment.model_copy(update={"launcher": launcher}))
    with pytest.raises(TrainingRefused, match="Ray is not installed"):
        train(other, recipe(project), tmp_path / "out", "one")


@pytest.mark.fault
def test_a_trainer_that_is_killed_is_reported_by_its_signal(project, tmp_path):
    killed = recipe(project, *OWN, "model.settings.fault=kill")
    with pytest.raises(TrainerKilled, match=r"SIGKILL.*memory"):
        train(project, killed, tmp_path / "out", "one")


@pytest.mark.fault
def test_out_of_memory_is_named(project, tmp_path):
    with pytest.raises(TrainingFailed, match="out of memory") as caught:
        train(project, recipe(project, *OWN, "model.settings.fault=memory"), tmp_path / "out", "one")
    assert caught.value.kind == OutOfMemory.kind


@pytest.mark.fault
def test_a_training_beyond_its_limit_is_ended_with_all_it_started(project, tmp_path, monkeypatch):
    limits = project.environment.limits.model_copy(update={"run_seconds": 8})
    hurried = Project(project.root, project.package, project.environment.model_copy(update={"limits": limits}))
    monkeypatch.setattr(launch, "GRACE_SECONDS", 0.2)
    with pytest.raises(TrainerKilled, match="longer than 8 s"):
        train(hurried, recipe(hurried, *OWN, "model.settings.fault=hang"), tmp_path / "out", "one")
    pid = json.loads((tmp_path / "out" / ".lease.json").read_text())["pid"]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.fault
def test_a_trainer_whose_starter_was_killed_ends_by_itself(project, tmp_path, monkeypatch):
    """Nobody is left who would end it: it hangs, and the kernel's alarm comes."""
    limits = project.environment.limits.model_copy(update={"run_seconds": 6})
    hurried = Project(project.root, project.package, project.environment.model_copy(update={"limits": limits}))
    hanging = recipe(hurried, *OWN, "model.settings.fault=hang")
    command = launch.trainer_command(hurried, hanging, tmp_path / "out", "one")
    late = {own_limit.VARIABLE: str(10 - own_limit.LATER_SECONDS)}  # so that a test need not wait so much longer
    child = launch.start(command, hurried.root, {**variables(hurried, hanging), **late})
    assert child.wait(60) == -signal.SIGALRM


def test_bad_input_is_refused_with_the_trainers_own_words(project, tmp_path):
    with pytest.raises(TrainingRefused, match="depht"):
        train(project, recipe(project, "model.settings.depht=2"), tmp_path / "out", "one")


@pytest.mark.fault
def test_sigterm_stops_with_the_state_saved(project, tmp_path):
    long = recipe(project, "training.epochs=5000", "training.checkpoint_every_steps=5000")
    out = tmp_path / "out"

    def stop() -> None:
        while not (out / "progress.jsonl").exists() or not (out / "progress.jsonl").read_text():
            time.sleep(0.05)
        os.kill(json.loads((out / ".lease.json").read_text())["pid"], signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(TrainingStopped, match="the state is saved"):
        train(project, long, out, "one")
    thread.join()
    assert list((out / "checkpoints").glob("step-*.json"))


def test_the_probe_finds_nothing_in_a_deterministic_model(project):
    found = probe(project, recipe(project), steps=2)
    assert found.deterministic
    assert found.compared > 40


def test_the_probe_names_the_operation_that_is_not_deterministic(project):
    found = probe(project, recipe(project, *OWN, "model.settings.noise=true"), steps=2)
    assert found.divergence is not None
    assert (found.divergence.step, found.divergence.phase) == (0, "forward")
    assert (found.divergence.name, found.divergence.operation) == ("noise[0]", "Noise")


def test_a_first_training_takes_its_first_steps_twice_and_keeps_its_bits(project, tmp_path):
    plain = train(project, recipe(project), tmp_path / "plain", "one")
    probed = train(project, recipe(project), tmp_path / "probed", "two", probe=True)
    assert probed.weights_digest == plain.weights_digest
    assert not (tmp_path / "probed" / "trace.json").exists()


def test_a_first_training_that_is_not_deterministic_is_ended_and_leaves_no_pack(project, tmp_path):
    noisy = recipe(project, *OWN, "model.settings.noise=true")
    with pytest.raises(NotDeterministic, match=r"noise\[0\] \(Noise, forward\)") as caught:
        train(project, noisy, tmp_path / "out", "one", probe=True)
    assert caught.value.kind == "not_deterministic"
    assert not (tmp_path / "out" / "pack.json").exists()
