from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtac_assets.training import checkpoint
from mtac_assets.training.checkpoint import Damaged, History, Identity
from mtac_assets.training.checkpoint_writer import CheckpointWriter
from mtac_assets.training.segments import Segment
from mtac_assets.training.tensors import weights_digest

IDENTITY = Identity("f", "r", "c", "d", "e", "t")
TENSORS = {"model/w": torch.arange(50, dtype=torch.float32), "optimizer/w/step": torch.tensor(3.0)}
HISTORY = History("0" * 64, (Segment(0, 5, "0" * 64, "1" * 64),), ({"step": 5, "loss": 0.5},), (), (0.75, 0.25))


def written(folder):
    checkpoint.write(folder, 7, TENSORS, weights_digest(TENSORS)[0], IDENTITY, HISTORY)
    return folder


def test_what_is_written_is_read_back(tmp_path):
    found = checkpoint.read(written(tmp_path), 7)
    assert (found.step, found.identity, found.history) == (7, IDENTITY, HISTORY)
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in TENSORS.items())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_flipped_bit_goes_unnoticed(tmp_path, data):
    written(tmp_path)
    path = data.draw(st.sampled_from([checkpoint.document_path(tmp_path, 7), checkpoint.tensors_path(tmp_path, 7)]))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        found = checkpoint.read(tmp_path, 7)
    except Damaged:
        return
    # White space between JSON values may change without a value changing; nothing else may.
    assert (found.step, found.identity, found.history) == (7, IDENTITY, HISTORY)


def test_leftovers_are_cleaned_and_whole_checkpoints_kept(tmp_path):
    written(tmp_path)
    (tmp_path / ".tmp-aa-step-0000000009.safetensors").write_bytes(b"half")
    (tmp_path / "step-0000000009.safetensors").write_bytes(b"no document")
    assert len(checkpoint.clean(tmp_path)) == 2
    assert checkpoint.steps_in(tmp_path) == [7]
    checkpoint.read(tmp_path, 7)


def test_the_error_of_a_write_in_the_background_is_raised(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    writer = CheckpointWriter(blocked, IDENTITY, History("0" * 64))
    with pytest.raises(OSError), writer:
        writer.submit(5, TENSORS, History("0" * 64), boundary=True)


def test_segments_form_a_chain_and_rescues_are_no_part_of_it(tmp_path):
    with CheckpointWriter(tmp_path, IDENTITY, History("0" * 64)) as writer:
        for step, boundary in ((5, True), (7, False), (10, True)):
            writer.submit(step, {"w": torch.full((2,), float(step))}, History("0" * 64), boundary)
            writer.wait()
            if step == 7:
                assert checkpoint.steps_in(tmp_path) == [7, 5]
    assert checkpoint.steps_in(tmp_path) == [10, 5]
    first, second = writer.segments
    assert (first.start_step, first.end_step, second.start_step, second.end_step) == (0, 5, 5, 10)
    assert (first.start_digest, first.end_digest) == ("0" * 64, second.start_digest)
