"""One alarm has one start, however long it lasts and whatever could not be judged meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.monitoring.alarm_start import alarm_start

STATES = st.lists(st.sampled_from(["OK", "WATCH", "ALARM", "INSUFFICIENT"]), max_size=12)


def row(states: list[str]) -> list[tuple[str, str]]:
    return [(f"{place:02d}", state) for place, state in enumerate(states)]


def test_the_start_is_the_first_of_the_last_row() -> None:
    assert alarm_start(row(["ALARM", "OK", "WATCH", "ALARM", "ALARM", "INSUFFICIENT", "ALARM"])) == "03"
    assert alarm_start(row(["ALARM", "WATCH"])) is None
    assert alarm_start([]) is None


@given(STATES, st.sampled_from(["ALARM", "INSUFFICIENT"]))
def test_a_day_more_of_the_same_alarm_moves_no_start(states: list[str], more: str) -> None:
    before = alarm_start(row(states))
    after = alarm_start(row([*states, more]))
    if before is not None:
        assert after == before
    else:
        assert after == (f"{len(states):02d}" if more == "ALARM" else None)


@given(STATES, STATES)
def test_an_alarm_after_a_calm_window_is_another(first: list[str], second: list[str]) -> None:
    found = alarm_start(row([*first, "OK", *second]))
    assert found is None or int(found) > len(first)
