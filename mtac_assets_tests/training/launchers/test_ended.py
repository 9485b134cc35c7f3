"""Who is to blame for the end of several workers."""

from __future__ import annotations

import pytest

from mtac_assets.provenance.files import read_json
from mtac_assets.training.launchers.ended import exit_code, to_blame


@pytest.mark.parametrize(
    ("codes", "first", "blamed"),
    [
        ([0, 0], None, None),
        ([1, -9], 0, 1),  # the one that a signal ended, whoever noticed first
        ([1, 2], 0, 1),  # refused input before a failure that follows from it
        ([75, 75], 1, 1),  # stopped together
        ([1, 1], 1, 1),
        ([None, 1], 1, 1),  # the first had to be ended
        ([0, 1], None, 1),
    ],
)
def test_a_signal_comes_before_refused_input_before_the_first_that_ended_badly(codes, first, blamed):
    assert to_blame(codes, first) == blamed


def test_the_one_that_a_signal_ended_is_told_of_in_place_of_what_the_others_noticed(tmp_path, capsys):
    (tmp_path / "failure.worker-1.json").write_text("{}")
    assert exit_code(tmp_path, "run", [1, -15], 0) == 1
    assert "worker 1 of 2 was ended by SIGTERM" in read_json(tmp_path / "failure.json")["findings"][0]["error"]
    assert not (tmp_path / "failure.worker-1.json").exists()
    assert "worker 1 of 2 was ended by SIGTERM" in capsys.readouterr().err
