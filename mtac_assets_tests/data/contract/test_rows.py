"""Which rows hold nothing, whatever the column's chunks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mtac_assets.data.contract.rows import null_rows


@pytest.mark.parametrize("kind", [pa.float64(), pa.int16(), pa.string()])
def test_rows_are_counted_through_all_chunks(kind: pa.DataType) -> None:
    chunks = [pa.array([None, None], kind), pa.array([], kind), pa.array([None], kind)]
    assert null_rows(pa.chunked_array(chunks)).tolist() == [0, 1, 2]
    assert null_rows(pa.chunked_array([], type=kind)).tolist() == []
    assert null_rows(pa.chunked_array([pa.array([], kind)])).tolist() == []


def test_nan_is_null() -> None:
    assert null_rows(pa.chunked_array([pa.array([1.0, np.nan, None]), pa.array([2.0, np.nan])])).tolist() == [1, 2, 4]
