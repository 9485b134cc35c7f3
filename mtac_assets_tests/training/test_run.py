"""A whole training in a real process: twice the same, interrupted in every way, refused where it must be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.training.checkpoint import document_path, steps_in, tensors_path
from mtac_assets.training.pack import Pack

STEPS = 19


def same_model(one: Path, other: Path) -> bool:
    """Equal weights, equal segments, equal measurements."""
    first, second = Pack.open(one), Pack.open(other)
    second.verify()
    names = ("digests", "losses", "golden")
    same = all(first.document(name) == second.document(name) for name in names)
    return same and first.document("training")["curve"] == second.document("training")["curve"]


def test_two_runs_have_the_same_bits_and_leave_a_sealed_pack(job, run_job, uninterrupted):
    """The second one starts without the variables that arithmetic depends on, and gives them to itself."""
    done = run_job(job.changed(run_id="second", variables={"OMP_NUM_THREADS": "2", "MKL_CBWR": "AUTO"}))
    assert done.stdout == ""
    assert same_model(uninterrupted, job.out)
    pack = Pack.open(job.out)
    assert pack.model_id == f"tiny-{pack.fingerprint[:12]}"
    assert [segment["end_step"] for segment in pack.segments] == [5, 10, 15, STEPS]
    assert [path.name for path in sorted((job.out / "checkpoints").glob("*.safetensors"))] == [
        f"step-{step:010d}.safetensors" for step in (5, 10, 15)
    ]
    assert not list(job.out.rglob(".tmp-*"))
    environment = pack.document("environment")
    assert environment["declared_flags"].items() <= environment["observed_flags"].items()
    progress = [json.loads(line) for line in (job.out / "progress.jsonl").read_text().splitlines()]
    assert [record["step"] for record in progress if record["kind"] == "validation"] == [10, STEPS]


def test_a_finished_training_is_not_done_again(job, run_job):
    run_job(job)
    sealed = (job.out / "pack.json").read_bytes()
    run_job(job.changed(run_id="again"))
    assert (job.out / "pack.json").read_bytes() == sealed


@pytest.mark.parametrize("change", [{"seed": 8}, {"threads": 2}])
def test_what_the_recipe_says_of_the_loop_shows(job, run_job, uninterrupted, change):
    run_job(job.training(**change))
    assert Pack.open(job.out).fingerprint != Pack.open(uninterrupted).fingerprint
    observed = Pack.open(job.out).document("environment")["observed_flags"]
    assert observed["threads"] == str(change.get("threads", 1))
    if "threads" not in change:  # so small a network may come out the same on two threads
        assert Pack.open(job.out).weights_digest != Pack.open(uninterrupted).weights_digest


@pytest.mark.fault
def test_killed_after_each_of_its_steps_it_goes_on_to_the_same_bits(job, run_job, uninterrupted):
    """One training, killed after its first step, then after its second, and so on to the last but one."""
    for step in range(1, STEPS):
        fault = {"fault": {"kind": "signal_after_step", "step": step, "signal": "SIGKILL"}}
        run_job(job.changed(more=fault), expect=-9)
        assert not (job.out / "pack.json").exists()
    run_job(job)
    assert same_model(uninterrupted, job.out)
    assert Pack.open(job.out).document("training")["attempts"] == STEPS


@pytest.mark.fault
def test_killed_in_the_middle_it_goes_on_to_the_same_bits_and_forgets_nothing_that_it_used(job, run_job, uninterrupted):
    step = STEPS // 2
    fault = {"fault": {"kind": "signal_after_step", "step": step, "signal": "SIGKILL"}}
    run_job(job.changed(more=fault), expect=-9)
    assert not (job.out / "pack.json").exists()
    used = read_json(job.out / ".usage.json")["usage"]["cpu_seconds"]
    run_job(job)
    assert same_model(uninterrupted, job.out), f"killed after step {step}"
    training = Pack.open(job.out).document("training")
    assert training["attempts"] == 2
    alone = Pack.open(uninterrupted).document("training")["usage"]["cpu_seconds"]
    assert training["usage"]["cpu_seconds"] >= used + 0.5 * alone, "what the killed attempt used is not forgotten"
    assert not (job.out / ".usage.json").exists()


@pytest.mark.fault
@pytest.mark.parametrize("file", ["safetensors", "json"])
def test_killed_while_a_checkpoint_is_written_it_uses_the_one_before(job, run_job, uninterrupted, file):
    run_job(job.changed(more={"fault": {"kind": "kill_in_checkpoint", "step": 10, "file": file}}), expect=-9)
    assert list((job.out / "checkpoints").glob(".tmp-*"))
    run_job(job)
    assert same_model(uninterrupted, job.out)
    training = Pack.open(job.out).document("training")
    assert training["resumed_at"] == 5
    assert any("left by a writer that was killed" in note for note in training["notes"])
    assert not list(job.out.rglob(".tmp-*"))


@pytest.mark.fault
@pytest.mark.parametrize(("file", "damage"), [("safetensors", "flip"), ("safetensors", "cut"), ("json", "flip")])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_used(job, run_job, uninterrupted, file, damage):
    run_job(job.changed(more={"fault": {"kind": "signal_after_step", "step": 17, "signal": "SIGKILL"}}), expect=-9)
    # The newest whole one: tensors whose document was not written yet when the kill came are a leftover, and no checkpoint.
    newest = max((job.out / "checkpoints").glob("step-*.json")).with_suffix(f".{file}")
    data = bytearray(newest.read_bytes())
    data[len(data) * 2 // 3] ^= 1
    newest.write_bytes(data[: len(data) // 2] if damage == "cut" else data)
    step = int(newest.stem.removeprefix("step-"))
    run_job(job)
    notes = Pack.open(job.out).document("training")["notes"]
    assert any(f"checkpoint of step {step} is damaged" in note for note in notes)
    assert Pack.open(job.out).document("training")["resumed_at"] == step - 5
    assert same_model(uninterrupted, job.out)


@pytest.mark.fault
def test_sigterm_saves_the_state_and_the_next_attempt_goes_on_from_there(job, run_job, uninterrupted):
    stopped = job.changed(more={"fault": {"kind": "signal_after_step", "step": 7, "signal": "SIGTERM"}})
    run_job(stopped, expect=75)
    assert read_json(job.out / "failure.json")["kind"] == "TrainingStopped"
    run_job(job)
    assert Pack.open(job.out).document("training")["resumed_at"] == 7
    assert same_model(uninterrupted, job.out)
    assert not (job.out / "failure.json").exists()
    assert not (job.out / "checkpoints" / "step-0000000007.json").exists(), "a rescue is no segment"


@pytest.mark.fault
@pytest.mark.parametrize("part", ["recipe", "data", "environment", "training set"])
def test_a_checkpoint_of_something_else_is_refused_and_kept(job, run_job, part, tmp_path, tiny_set):
    run_job(job.changed(more={"fault": {"kind": "signal_after_step", "step": 12, "signal": "SIGKILL"}}), expect=-9)
    before = whole_checkpoints(job.out / "checkpoints")
    other = {
        "recipe": job.training(learning_rate=0.02),
        "data": job.changed(data={"tiny_rows/all": "e" * 64}),
        "environment": job.changed(environment={"package.torch": "y"}),
        "training set": job.changed(training_set=other_set(tiny_set, tmp_path)),
    }[part]
    done = run_job(other, expect=2)
    assert f"belongs to another {part}" in done.stderr
    assert before
    assert whole_checkpoints(job.out / "checkpoints") == before


@pytest.mark.fault
def test_a_worker_thought_dead_that_comes_back_may_not_commit(job, run_job, root, uninterrupted):
    """One worker is halted; a second is refused while the first counts as alive, and finishes once it no longer does.

    Halted before the first checkpoint: inside a write it would hold the lease's file lock, and others wait for that.
    """
    halted = job.changed(run_id="late", more={"fault": {"kind": "signal_after_step", "step": 4, "signal": "SIGSTOP"}})
    variables = halted.environment_variables(root)
    first = subprocess.Popen(halted.command(), cwd=root, env=variables, stderr=subprocess.PIPE, text=True)
    try:
        assert os.WIFSTOPPED(os.waitpid(first.pid, os.WUNTRACED)[1])
        assert "at work on this since" in run_job(job, expect=2).stderr
        lease = read_json(job.out / ".lease.json")
        write_json(job.out / ".lease.json", lease | {"host": "another", "renewed": "2024-01-01T00:00:00+00:00"})
        run_job(job)
        sealed = (job.out / "pack.json").read_bytes()
        first.send_signal(signal.SIGCONT)
        _, said = first.communicate(timeout=60)
    finally:
        first.kill()  # a halted process would be waited for without end
    assert first.returncode == 2
    assert "the lease passed from" in said
    assert (job.out / "pack.json").read_bytes() == sealed
    assert same_model(uninterrupted, job.out)
    assert read_json(job.out / "failure.json")["run_id"] == "late", "the failure is the run's that lost"


def whole_checkpoints(folder: Path) -> dict[int, tuple[bytes, bytes]]:
    """Both files of each; what a killed writer left half done is not among them."""
    paths = ((step, document_path(folder, step), tensors_path(folder, step)) for step in steps_in(folder))
    return {step: (document.read_bytes(), tensors.read_bytes()) for step, document, tensors in paths}


def other_set(folder: Path, where: Path) -> Path:
    """The same arrays under another digest."""
    other = where / "other_set"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"digest": "f" * 64}))
    return other


def test_without_resume_a_checkpoint_is_not_overwritten(job, run_job):
    run_job(job.changed(more={"fault": {"kind": "signal_after_step", "step": 12, "signal": "SIGKILL"}}), expect=-9)
    assert "pass --resume" in run_job(job.changed(resume=False), expect=2).stderr


OWN_MODEL = """
import torch
from torch import nn

class Line(nn.Module):
    def __init__(self, schema, settings):
        super().__init__()
        self.line = nn.Linear(len(schema.numeric), 1)
        self.settings = settings
    def forward(self, numeric, categorical):
        if self.settings.get("resets"):
            torch.use_deterministic_algorithms(False)
        z = self.line(torch.nan_to_num(numeric))[:, 0]
        return z * self.settings["factor"] if "factor" in self.settings else z

def build(schema, settings):
    return Line(schema, settings)
"""


def test_a_model_of_the_teams_own_is_trained_like_any_other(job, run_job):
    (job.folder / "own.py").write_text(OWN_MODEL)
    run_job(job.model("own:build"))
    assert Pack.open(job.out).document("model")["kind"] == "own:build"
    assert set(Pack.open(job.out).document("digests")["tensors"]) == {"line.weight", "line.bias"}


def test_a_flag_that_something_resets_fails_the_run_by_its_name(job, run_job):
    (job.folder / "own.py").write_text(OWN_MODEL)
    done = run_job(job.model("own:build", resets=True), expect=1)
    assert "the flag deterministic_algorithms is 'off' after the first step" in done.stderr
    assert read_json(job.out / "failure.json")["kind"] == "flags_differ"
    assert not (job.out / "pack.json").exists()


def test_a_loss_that_is_no_number_stops_at_its_step(job, run_job):
    (job.folder / "own.py").write_text(OWN_MODEL)
    run_job(job.model("own:build", factor=1e38).training(learning_rate=10.0, gradient_clip=None), expect=1)
    failure = read_json(job.out / "failure.json")
    assert failure["kind"] == "non_finite"
    assert "at step 0" in failure["findings"][0]["error"]
    assert not (job.out / "pack.json").exists()


def test_a_model_that_says_the_same_of_every_row_is_none(job, run_job):
    (job.folder / "own.py").write_text(OWN_MODEL)
    run_job(job.model("own:build", factor=0.0), expect=1)
    failure = read_json(job.out / "failure.json")
    assert failure["kind"] == "learnt_nothing"
    assert "one and the same probability" in failure["findings"][0]["error"]
    assert not (job.out / "pack.json").exists()


def test_a_setting_that_the_model_does_not_know_is_refused(job, run_job):
    done = run_job(job.model(depht=3), expect=2)
    assert "depht" in done.stderr
    assert "model.settings" in done.stderr
