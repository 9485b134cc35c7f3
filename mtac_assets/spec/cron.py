"""The five fields of a cron expression, checked without a scheduler."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mtac_assets.spec.checks import Problem

_CRON_RANGES = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
_CRON_NAMES: tuple[dict[str, int], ...] = (
    {},
    {},
    {},
    {
        name: n
        for n, name in enumerate(
            ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
        )
    },
    {name: n for n, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])},
)
_CRON_ITEM = re.compile(r"(\*|(\w+)(-(\w+))?)(/(\d+))?")


def cron_problems(text: str) -> Iterator[Problem]:
    """POSIX crontab(5): five fields of lists of numbers, names, ranges and steps."""
    path = ("triggers", "schedule", "cron")
    parts = text.split()
    expected = "five fields: minute, hour, day of month, month, day of week"
    if len(parts) != 5:
        yield Problem(path, f"`{text}` has {len(parts)} fields", expected, 'write for example "0 3 * * *" (daily at 3)')
        return
    for part, (name, low, high), names in zip(parts, _CRON_RANGES, _CRON_NAMES, strict=True):
        if not all(_cron_item(item, low, high, names) for item in part.split(",")):
            yield Problem(
                path, f"`{part}` is no {name}", f"{name}: {low} to {high}, *, ranges a-b, steps /n", "correct it"
            )


def _cron_item(item: str, low: int, high: int, names: dict[str, int]) -> bool:
    match = _CRON_ITEM.fullmatch(item.lower())
    if not match:
        return False
    first, last, step = match[2], match[4], match[6]
    bounds = [names.get(text, int(text) if text.isdecimal() else -1) for text in (first, last) if text is not None]
    return all(low <= n <= high for n in bounds) and bounds == sorted(bounds) and (step is None or int(step) > 0)
