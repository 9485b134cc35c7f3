"""Names and states of files of plain paths."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mtac_assets.data.readers.local import SourceError, file_name, file_names, file_source, file_states

DAYS = ["2024-01-02", "2024-01-04", "2024-01-05"]
PIECES = st.sampled_from(
    ["{date}", "{date:%Y/%m}", "{date:%d}", "{date:%Y%m%d}", "{date:%y}", "{date:%j}", "{date:%%%m}", "{", "}", "o-"]
)


@given(st.lists(PIECES, max_size=5).map("".join), st.lists(st.dates(), max_size=4))
@example("{date:%Y}", [date(999, 1, 2), date(2024, 1, 2)])
def test_many_names_are_each_days_name(pattern: str, days: list[date]) -> None:
    keys = [day.isoformat() for day in days]
    assert file_names(pattern, keys) == [file_name(pattern, key) for key in keys]


def test_a_dataset_without_time_has_one_file() -> None:
    assert file_names("all-{date}.csv", ["all"]) == ["all-{date}.csv"]


@pytest.mark.parametrize(
    ("pattern", "name"), [("{date}.csv", "2024-01-04.csv"), ("{date:%Y/%m}/o-{date:%d}.csv", "2024/01/o-04.csv")]
)
def test_the_state_is_size_and_time(tmp_path: Path, pattern: str, name: str) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True)
    path.write_text("x")
    states = file_states("in", pattern, DAYS, tmp_path)
    state = states[1]
    assert (states[0], state, states[2]) == (None, (1, path.stat().st_mtime_ns), None)
    assert state is not None
    assert file_source("in", pattern, DAYS[1], state, tmp_path).document() == {
        "uri": f"in/{name}",
        "state": f"size:1 mtime_ns:{path.stat().st_mtime_ns}",
    }
    elsewhere = file_states(str(tmp_path / "in"), pattern, DAYS, tmp_path / "project")
    assert elsewhere.bytes() == states.bytes()
    path.write_text("xy")
    assert file_states("in", pattern, DAYS, tmp_path).bytes() != states.bytes()


def test_a_folder_that_is_not_there_has_no_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for url in ("nowhere", "file"):
        assert [file_states(url, "{date}.csv", DAYS, tmp_path)[place] for place in range(3)] == [None] * 3


@pytest.mark.parametrize("name", ["in", "in-folder/2024-01-04.csv"])
def test_what_may_not_be_looked_at_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(path.name)  # leads to itself; permissions do not hold for every user
    with pytest.raises(SourceError, match="cannot be looked at") as failure:
        file_states(name.partition("/")[0], "{date}.csv", DAYS, tmp_path)
    assert failure.value.findings[0].where == str(path)
