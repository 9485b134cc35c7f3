"""Equal bits on any number of workers, in real processes that speak gloo: with dropout, clipping, bfloat16, accumulation, an average."""

from __future__ import annotations

import copy
import json
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from mtac_assets.provenance.files import read_json
from mtac_assets.training.errors import SECONDS_VARIABLE, TrainingRefused
from mtac_assets.training.pack import Pack
from mtac_assets.training.segments import Segment
from mtac_assets.training.workers import Workers
from mtac_assets_tests.training.tiny_set import Job
from mtac_assets_tests.training.tiny_tokens import LANGUAGE_RECIPE, STEPS
from mtac_assets_tests.training.tiny_workers import begun, documents, train


@pytest.fixture
def language(tmp_path: Path, tokens: Path) -> Job:
    return Job(tmp_path / "out", tokens, tmp_path, recipe=copy.deepcopy(LANGUAGE_RECIPE))


@pytest.fixture(scope="session")
def alone(root: Path, tokens: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pack of one worker: what every other number of them must equal."""
    folder = tmp_path_factory.mktemp("alone")
    job = Job(folder / "out", tokens, folder, recipe=copy.deepcopy(LANGUAGE_RECIPE))
    train(job, 1, root)
    return job.out


@pytest.mark.parametrize("workers", [2, 4])
def test_more_workers_give_the_same_bits(language, root, alone, workers):
    train(language, workers, root)
    assert documents(language.out) == documents(alone)
    assert not list(language.out.glob("failure*"))
    used, by_one = (Pack.open(out).document("training")["usage"] for out in (language.out, alone))
    assert used["peak_memory_bytes"] > 0.7 * workers * by_one["peak_memory_bytes"], "summed over the workers"
    segments = [Segment(**one) for one in Pack.open(alone).segments]
    assert [one.end_step for one in segments] == [4, 8, STEPS]


def test_a_language_model_learns_and_says_so(alone):
    pack = Pack.open(alone)
    curve = pack.document("training")["curve"]
    losses = [point["validation"]["loss"] for point in curve if "validation" in point]
    assert losses[-1] < losses[0] < 4.3
    assert set(curve[-1].get("validation", curve[-2].get("validation"))) == {"loss", "loss/prose", "loss/sums"}
    assert pack.document("model")["tokens"]["tokenizer"] == {"digest": "7" * 64}
    assert pack.document("training")["notes"] == []


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_eight_workers_give_the_same_bits(language, root, optimizer):
    packs = []
    for workers in (1, 8):
        job = language.changed(out=language.out / str(workers)).training(optimizer=optimizer)
        train(job, workers, root)
        packs.append(documents(job.out))
    assert packs[0] == packs[1]


@pytest.mark.slow
def test_a_compiled_network_gives_its_own_bits_and_keeps_the_flags(language, root, alone):
    packs = []
    for name in ("one", "two"):
        job = language.changed(out=language.out / name).training(compile=True)
        train(job, 1, root)
        packs.append(documents(job.out))
    assert packs[0] == packs[1]
    observed = Pack.open(language.out / "one").document("environment")["observed_flags"]
    assert observed["deterministic_algorithms"] == "error"


@pytest.mark.slow
def test_rows_of_a_table_are_learnt_alike_by_four(job, root):
    packs = []
    for workers in (1, 4):
        other = job.changed(out=job.out / str(workers)).training(micro_batch_size=8, optimizer="adam")
        train(other, workers, root)
        packs.append(documents(other.out))
    assert packs[0] == packs[1]


@pytest.mark.slow
def test_what_four_began_two_go_on_with_and_one_reproduces(language, root, run_job, alone):
    stopped = language.changed(more={"fault": {"kind": "signal_after_step", "step": 6, "signal": "SIGTERM"}})
    train(stopped, 4, root, expect=75)
    train(language, 2, root)
    assert Pack.open(language.out).document("training")["resumed_at"] == 6
    assert documents(language.out) == documents(alone)
    for start, until in ((0, 4), (4, 8), (8, STEPS)):
        replay = language.changed(do="replay", more={"start": start, "until": until})
        replayed = json.loads(run_job(replay).stdout)
        segment = Pack.open(language.out).segments[start // 4]
        assert (replayed["start_digest"], replayed["end_digest"]) == (segment["start_digest"], segment["end_digest"])


@pytest.mark.fault
@pytest.mark.parametrize("worker", [0, 1])
def test_a_worker_that_dies_ends_the_training_by_its_name_and_is_made_up_for(language, root, alone, worker):
    fault = {"fault": {"kind": "signal_after_step", "step": 6, "signal": "SIGKILL", "worker": worker}}
    said = train(language.changed(more=fault), 2, root, expect=1)
    assert f"worker {worker} of 2 was ended by SIGKILL" in said
    assert read_json(language.out / "failure.json")["kind"] == "killed"
    train(language, 1, root)
    assert documents(language.out) == documents(alone)


@pytest.mark.fault
@pytest.mark.parametrize("worker", [0, 1])
def test_a_worker_that_hangs_ends_the_training_within_its_limit_by_its_name(language, root, worker):
    fault = {"fault": {"kind": "signal_after_step", "step": 6, "signal": "SIGSTOP", "worker": worker}}
    began = time.monotonic()
    said = train(language.changed(more=fault), 2, root, expect=1, **{SECONDS_VARIABLE: "5"})
    assert time.monotonic() - began < 60
    assert f"worker {worker} does not answer" in said


def stopped_worker(child: subprocess.Popen[str]) -> psutil.Process:
    """The worker that SIGSTOP has halted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.1)
        for worker in psutil.Process(child.pid).children():
            if worker.status() == psutil.STATUS_STOPPED:
                return worker
    raise AssertionError("no worker was halted")


@pytest.mark.fault
@pytest.mark.parametrize("worker", [0, 1])
def test_a_worker_that_would_come_back_after_it_was_given_up_is_gone_and_has_spoilt_nothing(
    language, root, alone, worker
):
    fault = {"fault": {"kind": "signal_after_step", "step": 6, "signal": "SIGSTOP", "worker": worker}}
    child = begun(language.changed(more=fault), 2, root, **{SECONDS_VARIABLE: "5"})
    halted = stopped_worker(child)
    _, said = child.communicate(timeout=120)
    assert child.returncode == 1, said
    assert not halted.is_running(), "ended with the others, so that no late step of it meets the next attempt"
    assert not (language.out / "pack.json").exists()
    train(language, 1, root)
    assert Pack.open(language.out).document("training")["resumed_at"] == 4
    assert documents(language.out) == documents(alone)


@pytest.mark.fault
def test_a_worker_that_comes_back_within_the_limit_changes_no_bit(language, root, alone):
    fault = {"fault": {"kind": "signal_after_step", "step": 6, "signal": "SIGSTOP", "worker": 1}}
    child = begun(language.changed(more=fault), 2, root, **{SECONDS_VARIABLE: "60"})
    halted = stopped_worker(child)
    time.sleep(2)
    assert child.poll() is None, "the other one waits"
    halted.send_signal(signal.SIGCONT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 0, said
    assert documents(language.out) == documents(alone)


@pytest.mark.fault
@pytest.mark.parametrize(("workers", "spoilt"), [(1, 0), (2, 1)])
def test_a_loss_that_is_no_number_ends_all_at_its_step_and_the_checkpoint_before_is_sound(
    language, root, alone, workers, spoilt
):
    fault = {"fault": {"kind": "nan_before_step", "step": 6, "worker": spoilt}}
    said = train(language.changed(more=fault), workers, root, expect=1)
    assert "the loss is nan at step 6" in said
    assert read_json(language.out / "failure.json")["kind"] == "non_finite"
    assert not (language.out / "pack.json").exists()
    train(language, 1, root)
    assert Pack.open(language.out).document("training")["resumed_at"] == 4
    assert documents(language.out) == documents(alone)


@pytest.mark.fault
def test_a_checkpoint_of_another_mix_is_refused_and_kept(language, root):
    stopped = language.changed(more={"fault": {"kind": "signal_after_step", "step": 6, "signal": "SIGTERM"}})
    train(stopped, 1, root, expect=75)
    before = {path.name: path.read_bytes() for path in (language.out / "checkpoints").iterdir()}
    other = copy.deepcopy(language.recipe)
    other["mix"]["sources"]["prose"]["ratio"], other["mix"]["sources"]["sums"]["ratio"] = "1/2", "1/2"
    said = train(language.changed(recipe=other), 1, root, expect=2)
    assert "the checkpoint belongs to another recipe" in said
    assert {path.name: path.read_bytes() for path in (language.out / "checkpoints").iterdir()} == before


@pytest.mark.fault
def test_sigterm_to_all_saves_the_state_and_ends_them(language, root, alone):
    child = begun(language, 2, root)
    progress = language.out / "progress.jsonl"
    deadline = time.monotonic() + 60
    while not (progress.is_file() and progress.read_text().count("\n") >= 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=60)
    assert child.returncode in (75, 0)  # the training is short: it may have ended first
    train(language, 1, root)
    assert documents(language.out) == documents(alone)


@pytest.mark.parametrize(("workers", "micro_batches"), [(2, 1), (8, 4), (3, 6)])
def test_workers_that_cannot_share_a_step_are_refused(workers, micro_batches):
    one = Workers()
    one.count = workers
    with pytest.raises(TrainingRefused, match=f"cannot be shared out among {workers} workers"):
        one.each(micro_batches)
