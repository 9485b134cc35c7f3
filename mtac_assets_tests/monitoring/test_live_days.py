"""Which days are live, and windows that stay what they are while days arrive."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.monitoring.errors import MonitoringError
from mtac_assets.monitoring.live_days import first_live_day, live_days, require_live, require_not_learned, windows
from mtac_assets.monitoring.scorer import open_model
from mtac_assets_tests.monitoring.conftest import AS_OF, Watched

BEGIN = date(2024, 1, 1)


def _keys(places: set[int]) -> list[str]:
    return [(BEGIN + timedelta(days=n)).isoformat() for n in sorted(places)]


@given(places=st.sets(st.integers(0, 60), min_size=1), days=st.integers(3, 9))
def test_each_day_is_in_one_window_and_only_the_last_may_be_open(places: set[int], days: int):
    keys = _keys(places)
    found = windows(BEGIN, keys, days)
    assert [key for span in found for key in span.there] == keys
    assert all(span.closed for span in found[:-1])
    assert found[-1].closed == (found[-1].last == keys[-1])
    assert all((date.fromisoformat(span.last) - date.fromisoformat(span.first)).days == days - 1 for span in found)


@given(places=st.sets(st.integers(0, 60), min_size=2), days=st.integers(3, 9))
def test_a_closed_window_never_changes_its_bounds_when_days_arrive(places: set[int], days: int):
    keys = _keys(places)
    before = {(span.first, span.last) for span in windows(BEGIN, keys[:-1], days)}
    assert before <= {(span.first, span.last) for span in windows(BEGIN, keys, days)}


def test_test_days_and_learned_days_are_not_live(trained: Watched):
    resolved = open_model(trained.project, trained.champion).resolved
    assert first_live_day(resolved).isoformat() == "2024-01-12"
    assert live_days(resolved, ["2024-01-13", "2024-01-11", "2024-01-12"]) == ("2024-01-12", "2024-01-13")
    with pytest.raises(MonitoringError, match="1 days are not live"):
        require_live(resolved, trained.champion, ["2024-01-11", "2024-01-12"])
    require_not_learned(resolved, trained.champion, [AS_OF])
    with pytest.raises(MonitoringError, match="may have learned from 1 of the days"):
        require_not_learned(resolved, trained.champion, ["2024-01-07", AS_OF])
