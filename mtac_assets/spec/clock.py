"""The one clock. Everything that asks for the time asks here, so that tests and replays can set it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

CLOCK_VARIABLE = "MTAC_CLOCK"
_SHIFT = re.compile(r"[+-]\d{1,9}")

_source: Callable[[], datetime] | None = None

TOLERANCE = timedelta(minutes=2)
"""How far two machines' clocks may be apart before somebody is told."""


def now() -> datetime:
    """The current moment, aware, in UTC. `MTAC_CLOCK` fixes it (ISO 8601 with offset), or sets the system's clock so many seconds
    forward or back (`+86400`, `-86400`), also in child processes."""
    if _source is not None:
        return _source().astimezone(UTC)
    fixed = os.environ.get(CLOCK_VARIABLE)
    if fixed and _SHIFT.fullmatch(fixed):
        return datetime.now(UTC) + timedelta(seconds=int(fixed))
    if fixed:
        moment = datetime.fromisoformat(fixed)
        if moment.tzinfo is None:
            raise ValueError(f"{CLOCK_VARIABLE}={fixed!r} has no UTC offset; write it like 2013-03-01T00:00:00+00:00")
        return moment.astimezone(UTC)
    return datetime.now(UTC)


def today() -> date:
    """The current date in UTC."""
    return now().date()


def timestamp() -> str:
    """`now()` as ISO 8601 with milliseconds, as stored documents carry it."""
    return now().isoformat(timespec="milliseconds")


def set_clock(source: Callable[[], datetime] | None) -> None:
    """Let `source` tell the time in this process; None gives the system's clock back."""
    global _source
    _source = source
