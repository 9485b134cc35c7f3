"""Records of another dataset as a row may know them: the latest one that was known strictly before the row's event time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from mtac_assets.data.point_in_time_codes import By, Codes, PointInTimeError, nanoseconds
from mtac_assets.spec.errors import Finding

NO_TIME = timedelta(0)


@dataclass(frozen=True, eq=False)
class _Records:
    """Records [M] in one order: by group (`codes`), then by when they were known (`times[rank]`).

    `keys` is one ascending integer a record, the group in the high part and the rank of its moment, from 1, in the low part;
    `order[i]` is the record of `keys[i]`. A record with a null in its group has the key -1.
    """

    frame: pd.DataFrame
    known: np.ndarray
    codes: np.ndarray
    times: np.ndarray
    span: int
    keys: np.ndarray
    order: np.ndarray


class Lookup:
    """The records of another dataset, of which each row sees the latest that was known strictly before its event time.

    A record is known from its event time + `known_after` on. `moments` are the rows' event times as the engine reads them
    (int64 nanoseconds by row index): a view cannot ask in the name of a later moment. Of the records, `frames` holds those of the
    row's own day and of at most `reach_days` before it, by day.
    """

    __slots__ = (
        "_codes",
        "_day",
        "_event_time",
        "_frames",
        "_known_after",
        "_moments",
        "_name",
        "_ordered",
        "_reach_days",
    )

    def __init__(
        self,
        name: str,
        frames: Mapping[int, pd.DataFrame],
        event_time: str,
        known_after: timedelta,
        day: int,
        reach_days: int,
        moments: np.ndarray,
    ) -> None:
        self._name, self._frames, self._event_time, self._day = name, frames, event_time, day
        self._known_after, self._reach_days, self._moments = _timedelta_ns(known_after), reach_days, moments
        self._codes = Codes()
        self._ordered: dict[tuple[By, int], _Records | None] = {}

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
            max_age: a record whose event time lies further back than this from the row's is not used; at most `reach_days`.
            before: look as if the question had been asked this much earlier (for tendencies).

        Returns:
            A frame with the index of `rows`; null where no record was known, or where the record has a null.

        Raises:
            PointInTimeError: unknown columns, a span that is out of range, two records of one moment and group.
        """
        records = self._records(tuple(by), self._oldest(max_age, before))
        if records is None:
            return pd.DataFrame(np.nan, index=rows.index, columns=pd.Index(columns))
        self._refuse_unknown(records.frame, columns)
        moments = self._moments[rows.index.to_numpy()]
        row_codes = self._codes.of(tuple(by), rows, {})
        rank_before = np.searchsorted(records.times, moments - _timedelta_ns(before), side="left")
        position = np.searchsorted(records.keys, row_codes * records.span + rank_before, side="right") - 1
        record = np.append(records.order, -1)[position]  # position -1, nothing earlier, picks the last entry
        oldest = moments - _timedelta_ns(max_age) + self._known_after
        found = (row_codes >= 0) & (record >= 0)
        found &= (np.append(records.codes, -1)[record] == row_codes) & (np.append(records.known, 0)[record] >= oldest)
        picked = {name: _picked(records.frame[name].to_numpy(), record, found) for name in columns}
        return pd.DataFrame(picked, index=rows.index)

    def _oldest(self, max_age: timedelta, before: timedelta) -> int:
        """The first day whose records can be young enough."""
        if not NO_TIME < max_age <= timedelta(days=self._reach_days) or before < NO_TIME:
            raise PointInTimeError(
                Finding(
                    error=f"max_age={max_age}, before={before}",
                    where=f"lookup {self._name}",
                    expected=f"a max_age above zero and at most {self._reach_days} days (window.history_days), no negative `before`",
                    remedy="ask for younger records, or raise window.history_days",
                )
            )
        return self._day + max_age // timedelta(days=-1)  # whole days, rounded away from zero

    def _records(self, by: By, oldest: int) -> _Records | None:
        """The records from day `oldest` on, ordered for searching; None where the dataset has none for these days."""
        if (by, oldest) not in self._ordered:
            frames = [self._frames[day] for day in sorted(self._frames) if oldest <= day <= self._day]
            self._ordered[by, oldest] = self._order(by, pd.concat(frames, ignore_index=True)) if frames else None
        return self._ordered[by, oldest]

    def _order(self, by: By, frame: pd.DataFrame) -> _Records:
        self._refuse_unknown(frame, by)
        known = nanoseconds(pd.Series(frame[self._event_time])) + self._known_after
        codes = self._codes.of(by, frame, {})
        times, ranks = np.unique(known, return_inverse=True)
        span = len(times) + 1
        keys = np.where(codes < 0, -1, codes * span + ranks + 1)
        order = np.argsort(keys, kind="stable")
        self._refuse_repeated(frame, keys[order], order, by)
        return _Records(frame, known, codes, times, span, keys[order], order)

    def _refuse_repeated(self, frame: pd.DataFrame, ordered: np.ndarray, order: np.ndarray, by: Sequence[str]) -> None:
        repeated = np.flatnonzero((np.diff(ordered) == 0) & (ordered[1:] >= 0))
        if len(repeated):
            record = frame.iloc[order[repeated[0]]]
            values = ", ".join(f"{name}={record[name]}" for name in [self._event_time, *by])
            raise PointInTimeError(
                Finding(
                    error=f"{self._name} has two records of the same moment: {values}",
                    where=f"lookup {self._name} by {', '.join(by) or 'nothing'}",
                    expected="one record at most for each moment and group: the latest must be one",
                    remedy="name all key columns of the lookup in `by`, or let its contract check uniqueness",
                )
            )

    def _refuse_unknown(self, frame: pd.DataFrame, columns: Sequence[str]) -> None:
        missing = [name for name in columns if name not in frame.columns]
        if missing:
            raise PointInTimeError(
                Finding(
                    error=f"{self._name} has no column {', '.join(missing)}",
                    where=f"lookup {self._name}",
                    expected=f"columns among {', '.join(map(str, frame.columns))}",
                    remedy="correct the name in the feature view",
                )
            )


def _picked(values: np.ndarray, record: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The records' values, null where none was found; whole numbers then become floats, as they have no null."""
    taken = values[record]
    if found.all():
        return taken
    if taken.dtype.kind in "iub":
        taken = taken.astype(np.float64)
    taken[~found] = np.datetime64("NaT") if taken.dtype.kind == "M" else np.nan
    return taken


def _timedelta_ns(span: timedelta) -> int:
    return (span.days * 86_400 + span.seconds) * 10**9 + span.microseconds * 1000
