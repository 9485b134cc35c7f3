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

from mtac_assets.data.point_in_time_codes import By, Codes, PointInTimeError
from mtac_assets.data.point_in_time_lookup import Lookup
from mtac_assets.spec.errors import Finding

__all__ = ["History", "Lookup", "Outcome", "Past", "PointInTimeError", "Tally"]

Outcome = str | Callable[[pd.DataFrame], pd.Series]
"""A column, or a module-level function of a day's complete rows; values are whole numbers or booleans, null where unknown."""


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

    def above(self, prior: Tally, weight: float) -> np.ndarray:
        """How far the mean lies above `prior.mean`, shrunk to zero by `weight` rows: `towards` less the prior; float64 [N].

        Zero where nothing is known of the group, null where nothing is known at all.
        """
        return (self.total - self.known * prior.mean) / (self.known + weight)


@dataclass(slots=True)
class _Day:
    """The complete rows of one past day, with what was counted from them so far."""

    frame: pd.DataFrame
    codes: dict[By, np.ndarray]
    groups: dict[By, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
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
        self._codes = Codes()
        self._windows: dict[tuple[By, Outcome, int], _Window] = {}
        self._serving: Past | None = None

    def add(self, day: int, frame: pd.DataFrame) -> None:
        """Let later days know the complete rows of `day`, in the same order as they were served in if they were."""
        assert not self._days or day > max(self._days), "days must be added in ascending order"
        served = self._serving
        self._days[day] = _Day(frame, served.codes if served is not None and served.day == day else {})

    def __contains__(self, day: int) -> bool:
        return day in self._days

    @property
    def rows(self) -> int:
        """Rows of all days that it holds."""
        return sum(len(day.frame) for day in self._days.values())

    def past(self, day: int, rows: pd.DataFrame) -> Past:
        """What the rows of `day` may know of the days before it. Only days in [day - history_days, day) may have been added."""
        assert all(known < day for known in self._days), (
            "the history already knows the day whose features are asked for"
        )
        for key in self._windows:  # a window must be rolled past a day before that day is forgotten
            self._leave(key, day)
        for known in [known for known in self._days if known < day - self.history_days]:
            del self._days[known]
        self._serving = Past(self, day, rows)
        return self._serving

    def days_in(self, first: int, end: int) -> int:
        """How many of the days [first, end) hold rows."""
        return sum(first <= day < end for day in self._days)

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
        window.fit(self._codes.size(by))
        window.totals[codes] += sign * totals
        window.known[codes] += sign * known

    def _table(self, day: _Day, by: By, outcome: Outcome) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table = day.tables.get((by, outcome))
        if table is None:
            if by not in day.groups:
                day.groups[by] = np.unique(self._codes.of(by, day.frame, day.codes), return_inverse=True)
            if outcome not in day.values:
                day.values[outcome] = _whole_numbers(day.frame, outcome)
            (distinct, inverse), (values, present) = day.groups[by], day.values[outcome]
            # Weights are added as float64, which is exact: _whole_numbers keeps a day's sum of absolute values below 2**52.
            totals = np.bincount(inverse, weights=values, minlength=len(distinct)).astype(np.int64)
            known = np.bincount(inverse, weights=present, minlength=len(distinct)).astype(np.int64)
            first = int(len(distinct) > 0 and distinct[0] < 0)  # the rows with a null in `by` belong to no group
            table = day.tables[by, outcome] = distinct[first:], totals[first:], known[first:]
        return table

    def tally(self, past: Past, by: By, outcome: Outcome, days: int) -> Tally:
        """The counts that `past.sums` returns."""
        first = past.day - days
        window = self._windows.get((by, outcome, days))
        if window is None:
            empty = np.zeros(0, dtype=np.int64)
            window = self._windows[by, outcome, days] = _Window(first, first, empty, empty)
        assert window.first == first, "a window is rolled forward before it is asked"
        while window.end < past.day:
            self._apply(window, window.end, by, outcome, 1)
            window.end += 1
        where = self._codes.of(by, past.rows, past.codes)
        window.fit(max(1, self._codes.size(by)))  # a code of -1 picks some entry, put right below
        total, known = window.totals[where], window.known[where]
        if by and len(where) and where.min() < 0:
            total[where < 0] = known[where < 0] = 0
        return Tally(total, known)


def _whole_numbers(frame: pd.DataFrame, outcome: Outcome) -> tuple[np.ndarray, np.ndarray]:
    """An outcome as whole float64 numbers, 0 where it is not known, and a mask of where it is."""
    values = frame[outcome] if isinstance(outcome, str) else outcome(frame)
    numbers = pd.Series(pd.to_numeric(values)).to_numpy(dtype=np.float64, na_value=np.nan)
    present = ~np.isnan(numbers)
    whole = np.where(present, numbers, 0.0)
    if not np.array_equal(whole, np.rint(whole)) or np.abs(whole).sum() > 2**52:
        name = outcome if isinstance(outcome, str) else outcome.__qualname__
        raise PointInTimeError(
            Finding(
                error=f"outcome {name!r} has values that are not whole numbers",
                where="past.rates / past.sums of the feature view",
                expected="booleans or whole numbers (a day's below 2**52 together), null where unknown: sums must be exact",
                remedy="round the outcome to a fixed unit in a function, for example (minutes * 10).round()",
            )
        )
    return whole, present


class Past:
    """What happened on the days before the rows' own day, at most `history_days` back, as counts aligned to the rows."""

    __slots__ = ("_history", "_tallies", "codes", "day", "rows")

    def __init__(self, history: History, day: int, rows: pd.DataFrame) -> None:
        self._history, self.day, self.rows = history, day, rows
        self.codes: dict[By, np.ndarray] = {}  # of `rows`, for the history to count them once this day is past
        self._tallies: dict[tuple[By, Outcome, int], Tally] = {}

    @property
    def days_known(self) -> int:
        """How many of the `history_days` before this day hold rows at all."""
        return self._history.days_in(self.day - self._history.history_days, self.day)

    def sums(self, by: Sequence[str], outcome: Outcome, days: int) -> Tally:
        """Sum and count of `outcome` over the rows of the last `days` days that agree with each row in the columns `by`.

        Args:
            by: columns that are known at event time; empty for all rows together. A row with a null in one of them gets (0, 0).
            outcome: a column or a module-level function of a day's complete rows; rows where it is null count nowhere.
            days: calendar days, 1 to `history_days`; days on which there is no data add nothing.
        """
        columns = tuple(by)
        tally = self._tallies.get((columns, outcome, days))
        if tally is None:
            self._refuse_unanswerable(columns, outcome, days)
            tally = self._tallies[columns, outcome, days] = self._history.tally(self, columns, outcome, days)
        return tally

    def rates(self, by: Sequence[str], outcome: Outcome, days: int) -> Tally:
        """As `sums`, for an outcome that is 0, 1 or null: `total` counts the positives."""
        return self.sums(by, outcome, days)

    def _refuse_unanswerable(self, columns: By, outcome: Outcome, days: int) -> None:
        unknown = [name for name in columns if name not in self.rows.columns]
        if unknown:
            raise PointInTimeError(
                Finding(
                    error=f"past rows cannot be grouped by {', '.join(unknown)}",
                    where="past.rates / past.sums of the feature view",
                    expected=f"columns that are known at event time: {', '.join(map(str, self.rows.columns))}",
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
