"""Which row belongs to which day, and what a partition is called."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pyarrow as pa

from mtac_assets.spec.dataset import DateColumns

NO_DATE = np.iinfo(np.int32).min
_EPOCH = date(1970, 1, 1)


def day_number(key: str) -> int:
    """Days since 1970-01-01 of a partition key YYYY-MM-DD."""
    return (date.fromisoformat(key) - _EPOCH).days


def row_days(table: pa.Table, where: str | DateColumns) -> np.ndarray:
    """Days since 1970-01-01 of each row, int32 [N]; NO_DATE where the row names no day that exists.

    Of a moment its day in UTC counts.
    """
    if isinstance(where, str):
        return _of_column(table[where])
    year, month, day = (_integers(table[name]) for name in (where.year, where.month, where.day))
    known = (year > 0) & (year < 10_000) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    months = np.where(known, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    first = months.astype("datetime64[D]")
    length = ((months + 1).astype("datetime64[D]") - first).astype(np.int64)
    known &= day <= length
    return np.where(known, first.astype(np.int64) + day - 1, NO_DATE).astype(np.int32)


def partition_index(days: np.ndarray, keys: Sequence[str]) -> np.ndarray:
    """Index int32 [N] into `keys` of each row's day; -1 for rows of other days."""
    if len(days) == 0:
        return np.empty(0, dtype=np.int32)
    wanted = np.array([day_number(key) for key in keys], dtype=np.int64)
    order = np.argsort(wanted)
    place = np.minimum(np.searchsorted(wanted[order], days), len(keys) - 1)
    return np.where(wanted[order][place] == days, order[place], -1).astype(np.int32)


def _of_column(column: pa.ChunkedArray) -> np.ndarray:
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind):
        text = column.cast(pa.string())
        try:
            column = text.cast(pa.date32())
        except pa.ArrowInvalid:
            column = pa.chunked_array([pa.array([_iso(value) for value in text.to_pylist()], pa.date32())])
    elif pa.types.is_timestamp(kind):
        column = (
            column.cast(pa.timestamp("us", tz=kind.tz), safe=False)
            .cast(pa.timestamp("us"))
            .cast(pa.date32(), safe=False)
        )
    numbers = column.cast(pa.int32()).fill_null(int(NO_DATE))
    return numbers.to_numpy().astype(np.int32)


def _iso(value: str | None) -> date | None:
    try:
        return None if value is None else date.fromisoformat(value)
    except ValueError:
        return None


def _integers(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.int64()).fill_null(-1).to_numpy()
