"""Virtual time, and when in a day something happens: files land once their day is over, schedules at their own times, sensors look after each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from mtac_assets.spec.clock import CLOCK_VARIABLE

if TYPE_CHECKING:
    import dagster as dg

LANDS = time(1, 0, tzinfo=UTC)  # yesterday's files
LOOKED_AT = timedelta(minutes=1)  # after they landed, so that they are whole
AGAIN = time(13, 0, tzinfo=UTC)  # what had to wait in the night: a cooldown, a second attempt


@dataclass(frozen=True)
class Moment:
    """A moment of a played day: `lands` says that files land before it, `schedules` which of them tick."""

    at: datetime
    lands: bool = False
    schedules: tuple[str, ...] = ()


def landing_time(day: date) -> datetime:
    """When the files of `day` land: on the next."""
    return datetime.combine(day + timedelta(days=1), LANDS)


def moments(day: date, schedules: Iterable[dg.ScheduleDefinition]) -> tuple[Moment, ...]:
    """Everything that happens on `day` (UTC), in order."""
    ticks: dict[datetime, list[str]] = {}
    for schedule in schedules:
        for at in times(schedule, day):
            ticks.setdefault(at, []).append(schedule.name)
    found = [
        Moment(landing_time(day - timedelta(days=1)) + LOOKED_AT, lands=True),
        Moment(datetime.combine(day, AGAIN)),
    ]
    found += [Moment(at, schedules=tuple(names)) for at, names in ticks.items()]
    return tuple(sorted(found, key=lambda moment: (moment.at, bool(moment.schedules))))


def times(schedule: dg.ScheduleDefinition, day: date) -> Sequence[datetime]:
    """The times on `day` (UTC) at which Dagster would evaluate the schedule."""
    from dagster._utils.schedules import schedule_execution_time_iterator

    begin = datetime.combine(day, time(0, tzinfo=UTC))
    end = begin + timedelta(days=1)
    found: list[datetime] = []
    for at in schedule_execution_time_iterator(begin.timestamp(), schedule.cron_schedule, schedule.execution_timezone):
        if at >= end:
            break
        found.append(at.astimezone(UTC))
    return found


def set_time(moment: datetime) -> None:
    """It is `moment` now, here and in every process that is started from here."""
    os.environ[CLOCK_VARIABLE] = moment.isoformat()
