"""Segments replayed one by one, each in a process of its own, end where the training did."""

from __future__ import annotations

import json

import pytest

from mtac_assets.training.pack import Pack
from mtac_assets.training.replay import segment_steps


@pytest.mark.parametrize("number", [0, 2, 3])
def test_a_segment_replayed_alone_ends_with_the_recorded_digest(job, run_job, uninterrupted, number):
    pack = Pack.open(uninterrupted)
    start, until = segment_steps(pack.document("digests"), number)
    replayed = json.loads(
        run_job(job.changed(out=uninterrupted, do="replay", more={"start": start, "until": until})).stdout
    )
    segment = pack.segments[number]
    assert (replayed["start_digest"], replayed["end_digest"]) == (segment["start_digest"], segment["end_digest"])
    if number == 3:
        assert replayed["weights_digest"] == pack.weights_digest
        assert replayed["weights"] == pack.document("digests")["tensors"]


def test_a_replay_needs_the_same_environment_unless_told_otherwise(job, run_job, uninterrupted):
    other = job.changed(out=uninterrupted, do="replay", environment={"package.torch": "y"})
    steps = {"start": 5, "until": 10}
    assert "another environment" in run_job(other.changed(more=steps), expect=2).stderr
    (uninterrupted / "failure.json").unlink()
    replayed = json.loads(run_job(other.changed(more={**steps, "ignore": ["environment"]})).stdout)
    assert replayed["end_digest"] == Pack.open(uninterrupted).segments[1]["end_digest"]


def test_a_replay_from_a_step_without_checkpoint_is_refused(job, run_job, uninterrupted):
    more = {"start": 7, "until": 10}
    assert (
        "no whole checkpoint of step 7"
        in run_job(job.changed(out=uninterrupted, do="replay", more=more), expect=2).stderr
    )
    (uninterrupted / "failure.json").unlink()
