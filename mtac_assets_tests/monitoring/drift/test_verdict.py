from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.monitoring.drift.verdict import next_state

rows = st.lists(st.sampled_from([True, False, None]), max_size=12)


@given(rows, st.integers(1, 5))
def test_what_could_not_be_judged_neither_ends_nor_lengthens_a_row(
    history: list[bool | None], persistence: int
) -> None:
    known = [one for one in history if one is not None]
    for drifted in (True, False):
        assert next_state(history, drifted, persistence) == next_state(known, drifted, persistence)
    assert next_state(history, None, persistence) == "INSUFFICIENT"


@given(rows, st.integers(1, 5))
def test_an_alarm_needs_as_many_windows_in_a_row_as_asked_for(history: list[bool | None], persistence: int) -> None:
    known = [one for one in history if one is not None]
    alarmed = next_state(history, True, persistence) == "ALARM"
    asked = persistence - 1
    assert alarmed == (asked == 0 or (len(known) >= asked and all(known[-asked:])))
    assert next_state(history, False, persistence) == "OK"
