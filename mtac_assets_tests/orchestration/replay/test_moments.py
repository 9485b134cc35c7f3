"""What happens when: Dagster's own times of a schedule, also where clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.orchestration.replay.moments import landing_time, moments, times


def schedule(cron: str, zone: str) -> dg.ScheduleDefinition:
    return dg.ScheduleDefinition("nights", cron_schedule=cron, execution_timezone=zone, job_name="some_job")


@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2013, 3, 9), [8]), (date(2013, 3, 11), [7]), (date(2013, 11, 2), [7]), (date(2013, 11, 4), [8])],
)
def test_a_schedule_keeps_its_own_time_zone(day: date, hours: list[int]) -> None:
    assert [at.hour for at in times(schedule("0 3 * * *", "America/New_York"), day)] == hours


@given(
    st.dates(date(2012, 1, 1), date(2026, 1, 1)),
    st.sampled_from(["0 3 * * 1", "*/90 * * * *", "30 23 * * *", "0 0 1 * *"]),
)
def test_days_hold_each_tick_once_and_in_order(first: date, cron: str) -> None:
    zone = "Europe/Berlin"
    played = [at for n in range(3) for at in times(schedule(cron, zone), first + timedelta(days=n))]
    begin = datetime.combine(first, datetime.min.time(), UTC)
    assert played == sorted(set(played))
    assert all(begin <= at < begin + timedelta(days=3) for at in played)


def test_files_land_after_their_day_and_before_anything_looks() -> None:
    day = date(2024, 1, 8)
    found = moments(day, [schedule("0 4 * * *", "UTC")])
    assert [moment.at.hour for moment in found] == [1, 4, 13]
    assert [moment.lands for moment in found] == [True, False, False]
    assert [moment.schedules for moment in found] == [(), ("nights",), ()]
    assert landing_time(date(2024, 1, 7)) < found[0].at
