"""What a feature view may know: `Past` (whole days strictly before the row's day) and `Lookup` (records known before the row).

Nothing in here reads files, and nothing hands out a row that lies in the future of the row it serves: a view that only uses
these two objects and its own rows is point-in-time by construction. What a day's features are made of is in `features.py`.

Every statistic is a sum of integers. Integer addition has no rounding, so a window that is rolled forward day by day holds exactly
the numbers that a fresh one would, and a day's features do not depend on which other days were computed in the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from mtac_assets.spec.errors import Finding, MtacError

NO_TIME = timedelta(0)

Outcome = str | Callable[[pd.DataFrame], pd.Series]
"""A column, or a module-level function of a day's complete rows; values are whole numbers or booleans, null where unknown."""


class PointInTimeError(MtacError):
    """A feature view asked for something that it may not know, or that cannot be counted exactly."""


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


class Codes:
    """Small integers for the values of one combination of columns, the same for every day that one history has seen."""

    def __init__(self, by: tuple[str, ...]) -> None:
        self.by = by
        self._values: list[dict[Hashable, int]] = [{} for _ in by]
        self._pairs: list[dict[int, int]] = [{} for _ in by[1:]]

    @property
    def size(self) -> int:
        if not self.by:
            return 1
        return len(self._pairs[-1]) if self._pairs else len(self._values[0])

    def of(self, frame: pd.DataFrame) -> np.ndarray:
        """int64 [N]; -1 where any of the columns is null."""
        if not self.by:
            return np.zeros(len(frame), dtype=np.int64)
        codes = _numbered(frame[self.by[0]], self._values[0])
        for name, values, pairs in zip(self.by[1:], self._values[1:], self._pairs, strict=True):
            second = _numbered(frame[name], values)
            joint = np.where((codes < 0) | (second < 0), -1, (codes << 32) | second)
            distinct, inverse = np.unique(joint, return_inverse=True)
            mapping = np.array(
                [-1 if key < 0 else pairs.setdefault(key, len(pairs)) for key in distinct.tolist()], dtype=np.int64
            )
            codes = mapping[inverse]
        return codes


def _numbered(column: pd.Series, values: dict[Hashable, int]) -> np.ndarray:
    codes, distinct = pd.factorize(column)
    mapping = np.array([values.setdefault(value, len(values)) for value in distinct.tolist()] + [-1], dtype=np.int64)
    return mapping[codes]  # factorize gives null the code -1, which picks the last entry


@dataclass(slots=True)
class _Day:
    """The complete rows of one past day, with what was counted from them so far."""

    frame: pd.DataFrame
    tables: dict[tuple[tuple[str, ...], Outcome], tuple[np.ndarray, np.ndarray, np.ndarray]] = field(
        default_factory=dict
    )


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
        self._codes: dict[tuple[str, ...], Codes] = {}
        self._windows: dict[tuple[tuple[str, ...], Outcome, int], _Window] = {}

    def add(self, day: int, frame: pd.DataFrame) -> None:
        """Let later days know the complete rows of `day`."""
        assert not self._days or day > max(self._days), "days must be added in ascending order"
        self._days[day] = _Day(frame)

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
        return Past(self, day, rows)

    def _leave(self, key: tuple[tuple[str, ...], Outcome, int], day: int) -> None:
        window = self._windows[key]
        by, outcome, days = key
        first = day - days
        while window.first < min(first, window.end):
            self._apply(window, window.first, by, outcome, -1)
            window.first += 1
        if window.end < first:
            window.first = window.end = first

    def _apply(self, window: _Window, day: int, by: tuple[str, ...], outcome: Outcome, sign: int) -> None:
        if day not in self._days:
            return
        codes, totals, known = self._table(self._days[day], by, outcome)
        window.fit(self._codes[by].size)
        window.totals[codes] += sign * totals
        window.known[codes] += sign * known

    def _table(self, day: _Day, by: tuple[str, ...], outcome: Outcome) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table = day.tables.get((by, outcome))
        if table is None:
            codes = self._codes[by].of(day.frame)
            values, present = _whole_numbers(day.frame, outcome)
            use = present & (codes >= 0)
            distinct, inverse = np.unique(codes[use], return_inverse=True)
            totals = np.zeros(len(distinct), dtype=np.int64)
            np.add.at(totals, inverse, values[use])
            table = distinct, totals, np.bincount(inverse, minlength=len(distinct)).astype(np.int64)
            day.tables[by, outcome] = table
        return table

    def _tally(self, day: int, rows: pd.DataFrame, by: tuple[str, ...], outcome: Outcome, days: int) -> Tally:
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
        row_codes = codes.of(rows)
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


class Lookup:
    """The records of another dataset, of which each row sees the latest that was known strictly before its event time.

    A record is known from its event time + `known_after` on. `moments` are the rows' event times as the engine reads them
    (int64 nanoseconds by row index): a view cannot ask in the name of a later moment. Records older than `reach` are not held.
    """

    __slots__ = ("_event_time", "_frame", "_known", "_known_after", "_moments", "_name", "_reach")

    def __init__(
        self,
        name: str,
        frame: pd.DataFrame,
        event_time: str,
        known_after: timedelta,
        reach: timedelta,
        moments: np.ndarray,
    ) -> None:
        self._name, self._frame, self._event_time = name, frame.reset_index(drop=True), event_time
        self._known_after, self._reach, self._moments = _timedelta_ns(known_after), reach, moments
        self._known = nanoseconds(frame[event_time]) + self._known_after

    def as_of(
        self,
        rows: pd.DataFrame,
        by: Sequence[str],
        columns: Sequence[str],
        max_age: timedelta,
        before: timedelta = NO_TIME,
    ) -> pd.DataFrame:
        """Per row, the latest record with the same `by` that was known strictly before the row's event time less `before`.

        Args:
            rows: the view's rows or some of them, with their index.
            by: columns that both sides have; a null matches nothing.
            columns: the record's columns to return.
            max_age: a record whose event time lies further back than this from the row's is not used; at most one day.
            before: look as if the question had been asked this much earlier (for tendencies).

        Returns:
            A frame with the index of `rows`; null where no record was known, or where the record has a null.

        Raises:
            PointInTimeError: unknown columns, a span that is out of range, two records of one moment and group.
        """
        self._check(columns, by, max_age, before)
        moments = self._moments[rows.index.to_numpy()]
        codes = Codes(tuple(by))
        record_codes, row_codes = codes.of(self._frame), codes.of(rows)
        # One ordered integer for each record and row: the group in the high part, the rank of the moment in the low part.
        times, ranks = np.unique(self._known, return_inverse=True)
        span = len(times) + 1
        keys = np.where(record_codes < 0, -1, record_codes * span + ranks + 1)
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        self._refuse_repeated(ordered, order, by)
        rank_before = np.searchsorted(times, moments - _timedelta_ns(before), side="left")
        position = np.searchsorted(ordered, row_codes * span + rank_before, side="right") - 1
        record = np.append(order, -1)[position]  # position -1, nothing earlier, picks the last entry
        oldest = moments - _timedelta_ns(max_age) + self._known_after
        found = (row_codes >= 0) & (record >= 0)
        found &= (np.append(record_codes, -1)[record] == row_codes) & (np.append(self._known, 0)[record] >= oldest)
        picked = self._frame[list(columns)].reindex(np.where(found, record, -1))
        picked.index = rows.index
        return picked

    def _refuse_repeated(self, ordered: np.ndarray, order: np.ndarray, by: Sequence[str]) -> None:
        repeated = np.flatnonzero((np.diff(ordered) == 0) & (ordered[1:] >= 0))
        if len(repeated):
            record = self._frame.iloc[order[repeated[0]]]
            values = ", ".join(f"{name}={record[name]}" for name in [self._event_time, *by])
            raise PointInTimeError(
                Finding(
                    error=f"{self._name} has two records of the same moment: {values}",
                    where=f"lookup {self._name} by {', '.join(by) or 'nothing'}",
                    expected="one record at most for each moment and group: the latest must be one",
                    remedy="name all key columns of the lookup in `by`, or let its contract check uniqueness",
                )
            )

    def _check(self, columns: Sequence[str], by: Sequence[str], max_age: timedelta, before: timedelta) -> None:
        missing = [name for name in [*columns, *by] if name not in self._frame.columns]
        if missing:
            raise PointInTimeError(
                Finding(
                    error=f"{self._name} has no column {', '.join(missing)}",
                    where=f"lookup {self._name}",
                    expected=f"columns among {', '.join(map(str, self._frame.columns))}",
                    remedy="correct the name in the feature view",
                )
            )
        if not NO_TIME < max_age <= self._reach or not NO_TIME <= before:
            raise PointInTimeError(
                Finding(
                    error=f"max_age={max_age}, before={before}",
                    where=f"lookup {self._name}",
                    expected=f"a max_age above zero and at most {self._reach}, and a `before` that is not negative",
                    remedy="ask for younger records",
                )
            )


def nanoseconds(column: pd.Series) -> np.ndarray:
    """Moments as int64 nanoseconds since 1970 UTC, whatever unit and zone the column has; nulls are refused."""
    if column.isna().any():
        raise PointInTimeError(
            Finding(
                error=f"{int(column.isna().sum())} of {len(column)} rows have no {column.name}",
                where=f"column {column.name}",
                expected="an event time in every row: without it nothing says what the row may know",
                remedy="let the contract forbid nulls in the event time",
            )
        )
    moments = pd.to_datetime(column, utc=True).astype("datetime64[ns, UTC]")
    return moments.to_numpy(dtype="datetime64[ns]").astype(np.int64)


def _timedelta_ns(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * 10**9 + span.microseconds * 1000
