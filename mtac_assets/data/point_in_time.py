"""What a feature view may know: `Past` (whole days strictly before the row's day) and `Lookup` (records known before the row).

`Lookup` is in `point_in_time_lookup`. Nothing in here reads files, and nothing hands out a row that lies in the future of the row it serves: a view that only uses
these two objects and its own rows is point-in-time by construction. What a day's features are made of is in `features.py`.

Every statistic is a sum of integers. Integer addition has no rounding, so a window that is rolled forward day by day holds exactly
the numbers that a fresh one would, and a day's features do not depend on which other days were computed in the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from mtac_assets.data.point_in_time_codes import Codes, PointInTimeError
from mtac_assets.data.point_in_time_lookup import Lookup
from mtac_assets.spec.errors import Finding

__all__ = ["History", "Lookup", "Outcome", "Past", "PointInTimeError", "Tally"]

Outcome = str | Callable[[pd.DataFrame], pd.Series]
"""A column, or a module-level function of a day's complete rows; values are whole numbers or booleans, null where unknown."""

By = tuple[str, ...]


class Tally(NamedTuple):
    """Exact counts over past days, one entry a row: `total` of the outcome over `known` rows where it is not null (int64 [N])."""

    total: np.ndarray
    known: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """float64 [N]; NaN where nothing is known: short history is a null, never a guess."""
        return np.divide(self.total, self.known, out=np.full(len(self.total), np.nan), where=self.known > 0)

    def towards(self, prior: Tally, weight: float) -> np.ndarray:
        """The mean drawn towards `prior.mean` as if `weight` more rows had shown it (additive smoothing); float64 [N]."""
        return (self.total + weight * prior.mean) / (self.known + weight)


@dataclass(slots=True)
class _Day:
    """The complete rows of one past day, with what was counted from them so far."""

    frame: pd.DataFrame
    codes: dict[By, np.ndarray]
    values: dict[Outcome, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    tables: dict[tuple[By, Outcome], tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=dict)


@dataclass(slots=True)
class _Window:
    """Running sums over the days [first, end) by code."""

    first: int
    end: int
    totals: np.ndarray
    known: np.ndarray

    def fit(self, size: int) -> None:
        if size > len(self.totals):
            grown = max(size, 2 * len(self.totals))
            self.totals = np.concatenate([self.totals, np.zeros(grown - len(self.totals), dtype=np.int64)])
            self.known = np.concatenate([self.known, np.zeros(grown - len(self.known), dtype=np.int64)])


class History:
    """The engine's store of past days; the view gets `past(...)` of it, which serves one day and cannot see that day or later.

    Days are integers (days since 1970-01-01), added in ascending order, and forgotten once no later day can look at them.
    """

    def __init__(self, history_days: int) -> None:
        self.history_days = history_days
        self._days: dict[int, _Day] = {}
        self._codes: dict[By, Codes] = {}
        self._windows: dict[tuple[By, Outcome, int], _Window] = {}
        self._serving: tuple[int, dict[By, np.ndarray]] = (-1, {})  # codes of the rows that are being served

    def add(self, day: int, frame: pd.DataFrame) -> None:
        """Let later days know the complete rows of `day`, in the same order as they were served in if they were."""
        assert not self._days or day > max(self._days), "days must be added in ascending order"
        served, codes = self._serving
        self._days[day] = _Day(frame, codes if served == day else {})

    def __contains__(self, day: int) -> bool:
        return day in self._days

    def past(self, day: int, rows: pd.DataFrame) -> Past:
        """What the rows of `day` may know of the days before it. Only days in [day - history_days, day) may have been added."""
        assert all(known < day for known in self._days), (
            "the history already knows the day whose features are asked for"
        )
        for key in self._windows:  # a window must be rolled past a day before that day is forgotten
            self._leave(key, day)
        for known in [known for known in self._days if known < day - self.history_days]:
            del self._days[known]
        self._serving = day, {}
        return Past(self, day, rows)

    def _leave(self, key: tuple[By, Outcome, int], day: int) -> None:
        window = self._windows[key]
        by, outcome, days = key
        first = day - days
        while window.first < min(first, window.end):
            self._apply(window, window.first, by, outcome, -1)
            window.first += 1
        if window.end < first:
            window.first = window.end = first

    def _apply(self, window: _Window, day: int, by: By, outcome: Outcome, sign: int) -> None:
        if day not in self._days:
            return
        codes, totals, known = self._table(self._days[day], by, outcome)
        window.fit(self._codes[by].size)
        window.totals[codes] += sign * totals
        window.known[codes] += sign * known

    def _table(self, day: _Day, by: By, outcome: Outcome) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table = day.tables.get((by, outcome))
        if table is None:
            if by not in day.codes:
                day.codes[by] = self._codes[by].of(day.frame)
            if outcome not in day.values:
                day.values[outcome] = _whole_numbers(day.frame, outcome)
            codes, (values, present) = day.codes[by], day.values[outcome]
            use = present & (codes >= 0)
            distinct, inverse = np.unique(codes[use], return_inverse=True)
            totals = np.zeros(len(distinct), dtype=np.int64)
            np.add.at(totals, inverse, values[use])
            table = distinct, totals, np.bincount(inverse, minlength=len(distinct)).astype(np.int64)
            day.tables[by, outcome] = table
        return table

    def _tally(self, day: int, rows: pd.DataFrame, by: By, outcome: Outcome, days: int) -> Tally:
        assert self._serving[0] == day, "a day's past is asked while that day is served"
        codes = self._codes.setdefault(by, Codes(by))
        first = day - days
        key = (by, outcome, days)
        window = self._windows.get(key)
        if window is None:
            empty = np.zeros(0, dtype=np.int64)
            window = self._windows[key] = _Window(first, first, empty, empty)
        assert window.first == first, "a window is rolled forward before it is asked"
        while window.end < day:
            self._apply(window, window.end, by, outcome, 1)
            window.end += 1
        served = self._serving[1]
        if by not in served:
            served[by] = codes.of(rows)
        row_codes = served[by]
        window.fit(codes.size)
        seen = row_codes >= 0
        where = np.where(seen, row_codes, 0)
        return Tally(np.where(seen, window.totals[where], 0), np.where(seen, window.known[where], 0))


def _whole_numbers(frame: pd.DataFrame, outcome: Outcome) -> tuple[np.ndarray, np.ndarray]:
    """An outcome as int64 values and a mask of where it is known."""
    values = frame[outcome] if isinstance(outcome, str) else outcome(frame)
    numbers = pd.to_numeric(values).to_numpy(dtype=np.float64, na_value=np.nan)
    present = ~np.isnan(numbers)
    whole = np.where(present, numbers, 0.0)
    if not np.array_equal(whole, np.rint(whole)) or np.abs(whole).max(initial=0) > 2**52:
        name = outcome if isinstance(outcome, str) else outcome.__qualname__
        raise PointInTimeError(
            Finding(
                error=f"outcome {name!r} has values that are not whole numbers",
                where="past.rates / past.sums of the feature view",
                expected="booleans or whole numbers below 2**52, null where unknown: sums over days must be exact",
                remedy="round the outcome to a fixed unit in a function, for example (minutes * 10).round()",
            )
        )
    return whole.astype(np.int64), present


class Past:
    """What happened on the days before the rows' own day, at most `history_days` back, as counts aligned to the rows."""

    __slots__ = ("_day", "_history", "_rows")

    def __init__(self, history: History, day: int, rows: pd.DataFrame) -> None:
        self._history, self._day, self._rows = history, day, rows

    @property
    def days_known(self) -> int:
        """How many of the `history_days` before this day hold rows at all."""
        return sum(known < self._day for known in self._history._days)

    def sums(self, by: Sequence[str], outcome: Outcome, days: int) -> Tally:
        """Sum and count of `outcome` over the rows of the last `days` days that agree with each row in the columns `by`.

        Args:
            by: columns that are known at event time; empty for all rows together. A row with a null in one of them gets (0, 0).
            outcome: a column or a module-level function of a day's complete rows; rows where it is null count nowhere.
            days: calendar days, 1 to `history_days`; days on which there is no data add nothing.
        """
        columns = tuple(by)
        unknown = [name for name in columns if name not in self._rows.columns]
        if unknown:
            raise PointInTimeError(
                Finding(
                    error=f"past rows cannot be grouped by {', '.join(unknown)}",
                    where="past.rates / past.sums of the feature view",
                    expected=f"columns that are known at event time: {', '.join(map(str, self._rows.columns))}",
                    remedy="group by these columns only; an outcome column is unknown when the question is asked",
                )
            )
        if not 1 <= days <= self._history.history_days:
            raise PointInTimeError(
                Finding(
                    error=f"a window of {days} days was asked for",
                    where="past.rates / past.sums of the feature view",
                    expected=f"1 to {self._history.history_days} days (window.history_days of the recipe)",
                    remedy="raise window.history_days, or look back less",
                )
            )
        if not isinstance(outcome, str) and "<locals>" in outcome.__qualname__:
            raise PointInTimeError(
                Finding(
                    error=f"the outcome {outcome.__qualname__} is defined inside another function",
                    where="past.rates / past.sums of the feature view",
                    expected="a function at the top of a module: daily counts are kept under it from one day to the next",
                    remedy="move the function to the module's top level",
                )
            )
        return self._history._tally(self._day, self._rows, columns, outcome, days)

    def rates(self, by: Sequence[str], outcome: Outcome, days: int) -> Tally:
        """As `sums`, for an outcome that is 0, 1 or null: `total` counts the positives."""
        return self.sums(by, outcome, days)
