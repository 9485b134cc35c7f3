from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.training.batches import open_split, rows_of_step, steps_of
from mtac_assets.training.errors import TrainingRefused


@settings(max_examples=50)
@given(rows=st.integers(1, 300), epochs=st.integers(1, 4), batch=st.integers(1, 128), seed=st.integers(0, 2**31))
def test_every_row_is_seen_once_an_epoch_and_no_batch_is_short(rows, epochs, batch, seed):
    steps = steps_of(rows, epochs, batch)
    batches = [rows_of_step(seed, rows, step, batch) for step in range(steps)]
    assert {len(rows_of_batch) for rows_of_batch in batches} == {batch}
    stream = np.concatenate(batches)
    for epoch in range(epochs):
        assert sorted(stream[epoch * rows : (epoch + 1) * rows]) == list(range(rows))
    assert len(stream) - epochs * rows < batch


def test_the_rows_of_a_step_do_not_depend_on_what_was_asked_before():
    first = rows_of_step(7, 1000, 41, 64)
    for step in range(40):
        rows_of_step(7, 1000, step, 64)
    assert (rows_of_step(7, 1000, 41, 64) == first).all()
    assert (rows_of_step(8, 1000, 41, 64) != first).any()


def test_arrays_that_do_not_fit_are_refused(tiny_set, tmp_path):
    for path in tiny_set.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    np.save(tmp_path / "train.label.npy", np.zeros(3, np.float32))
    with pytest.raises(TrainingRefused, match="600, 600, 3 rows"):
        open_split(tmp_path, "train")
    for name in ("numeric", "categorical", "label"):
        np.save(tmp_path / f"train.{name}.npy", np.load(tiny_set / f"train.{name}.npy")[:0])
    with pytest.raises(TrainingRefused, match="0, 0, 0 rows"):
        open_split(tmp_path, "train")
