"""When the present alarm began: what tells one alarm that lasts from two."""

from __future__ import annotations

from collections.abc import Iterable


def alarm_start(row: Iterable[tuple[str, str | None]]) -> str | None:
    """The key of the first ALARM of the row of alarms that `row` (key and state, in order) ends with; None where it ends with
    another state. INSUFFICIENT neither ends such a row nor begins one, as with persistence."""
    start: str | None = None
    for key, state in row:
        if state == "ALARM":
            start = start or key
        elif state != "INSUFFICIENT":
            start = None
    return start
