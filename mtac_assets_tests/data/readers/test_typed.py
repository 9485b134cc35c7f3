"""Typed sources keep their values: widths may change, kinds may not."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.data.contract.columns import CATEGORY, Columns
from mtac_assets.data.readers.local import SourceError
from mtac_assets.data.readers.typed import conform, parse_text

UTC = pa.timestamp("us", tz="UTC")


def conformed(array: pa.Array, wanted: pa.DataType):
    return conform(pa.table({"v": array}), Columns({"v": wanted}), "a.parquet")


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (pa.int64(), pa.int16()),
        (pa.uint8(), pa.int32()),
        (pa.float32(), pa.float64()),
        (pa.string(), CATEGORY),
        (pa.large_string(), pa.string()),
        (CATEGORY, pa.string()),
        (pa.timestamp("ns", tz="America/New_York"), UTC),
        (pa.timestamp("s"), pa.timestamp("us")),
        (pa.null(), pa.int16()),
    ],
)
def test_what_keeps_its_values_fits(kind: pa.DataType, wanted: pa.DataType) -> None:
    text = kind in (pa.string(), pa.large_string(), CATEGORY)
    value = None if kind == pa.null() else "a" if text else 1000 if pa.types.is_timestamp(kind) else 1
    values = [value, None]
    typed = conformed(pa.array(values, kind), wanted)
    assert (typed.table.schema.field("v").type, typed.faults) == (wanted, ())
    assert typed.table["v"].null_count == (2 if kind == pa.null() else 1)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (pa.string(), pa.int16()),
        (pa.float64(), pa.int16()),
        (pa.int64(), pa.float64()),
        (pa.float64(), pa.float32()),
        (pa.int64(), pa.string()),
        (pa.int64(), UTC),
        (pa.timestamp("us"), UTC),
        (UTC, pa.timestamp("us")),
        (pa.bool_(), pa.int16()),
        (pa.date32(), UTC),
    ],
)
def test_another_kind_is_refused(kind: pa.DataType, wanted: pa.DataType) -> None:
    with pytest.raises(SourceError, match="as the contract declares"):
        conformed(pa.array([None], kind), wanted)


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=20))
def test_numbers_too_wide_are_faults_and_the_others_stay(values: list[int | None]) -> None:
    typed = conformed(pa.array(values, pa.int64()), pa.int16())
    fits = [value is None or -(2**15) <= value < 2**15 for value in values]
    assert typed.table["v"].to_pylist() == [value if good else None for value, good in zip(values, fits, strict=True)]
    bad = typed.faults[0].rows.tolist() if typed.faults else [False] * len(values)
    assert bad == [not good for good in fits]


def test_moments_too_fine_are_faults() -> None:
    typed = conformed(pa.array([1000, 1001], pa.timestamp("ns", tz="UTC")), UTC)
    assert typed.faults[0].rows.tolist() == [False, True]


def test_all_columns_at_fault_are_named_at_once() -> None:
    table = pa.table({"a": pa.array(["x"]), "b": pa.array([1.5])})
    with pytest.raises(SourceError) as caught:
        conform(table, Columns({"a": pa.int16(), "b": pa.int16()}), "a.parquet")
    assert len(caught.value.findings) == 2


def test_text_is_parsed_strictly() -> None:
    array, faults = parse_text("n", pa.chunked_array([["7", " 8 ", None, "9x", ""]]), pa.int16())
    assert array.to_pylist() == [7, 8, None, None, None]
    assert faults[0].rows.tolist() == [False, False, False, True, True]
