"""The day of a row, from three columns, a date, a text or a moment."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.data.readers.days import NO_DATE, day_number, partition_index, row_days
from mtac_assets.spec.dataset import DateColumns

PARTS = DateColumns(year="y", month="m", day="d")


@given(st.lists(st.dates(date(1, 1, 1), date(9999, 12, 31)), min_size=1, max_size=20))
def test_three_columns_name_the_calendar_day(days: list[date]) -> None:
    table = pa.table({"y": [d.year for d in days], "m": [d.month for d in days], "d": [d.day for d in days]})
    assert row_days(table, PARTS).tolist() == [day_number(d.isoformat()) for d in days]


@pytest.mark.parametrize(
    "parts", [(2013, 2, 29), (2013, 4, 31), (2013, 0, 1), (2013, 13, 1), (2013, 1, 0), (None, 1, 1)]
)
def test_a_day_that_does_not_exist_is_none(parts: tuple[int | None, int, int]) -> None:
    table = pa.table({name: pa.array([value], pa.int16()) for name, value in zip("ymd", parts, strict=True)})
    assert row_days(table, PARTS).tolist() == [NO_DATE]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["2013-03-01", "2013-02-30", "1.3.2013", None]), ["2013-03-01", None, None, None]),
        (pa.array(["2013-03-01"]).dictionary_encode(), ["2013-03-01"]),
        (pa.array([date(2013, 3, 1), None]), ["2013-03-01", None]),
        (pa.array([1362182399999999, -1], pa.timestamp("us", tz="UTC")), ["2013-03-01", "1969-12-31"]),
        (pa.array([1362182399], pa.timestamp("s")), ["2013-03-01"]),
    ],
)
def test_one_column_of_any_form(values: pa.Array, expected: list[str | None]) -> None:
    got = row_days(pa.table({"when": values}), "when").tolist()
    assert got == [NO_DATE if day is None else day_number(day) for day in expected]


def test_rows_find_their_partition_in_any_order_of_keys() -> None:
    keys = ["2013-03-02", "2013-03-01"]
    numbers = np.array(
        [day_number(day) for day in ("2013-03-01", "2013-03-02", "2013-03-03")] + [NO_DATE], dtype=np.int32
    )
    assert partition_index(numbers, keys).tolist() == [1, 0, -1, -1]
    assert partition_index(numbers[:0], keys).tolist() == []
