from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mtac_assets.monitoring.drift.rows import DriftError, Rows, rows_of


def test_a_table_of_features_becomes_rows() -> None:
    words = pa.chunked_array(
        [pa.array(["b", None, "a"]).dictionary_encode(), pa.array(["a", "c", "b"]).dictionary_encode()]
    )
    table = pa.table({"x": pa.array([1.5, None, 2, 3, float("nan"), 5], pa.float32()), "n": [1, 2, None, 4, 5, 6], "w": words})  # fmt: skip
    raw = pa.table({"x": pa.array([1.0, float("nan"), None]), "t": ["a", None, "b"], "i": [1, 2, 3]})
    rows = rows_of(table, ["x", "n"], ["w"], score=np.zeros(6), raw=raw)
    assert list(np.isnan(rows.numeric["x"])) == [False, True, False, False, True, False]
    assert list(np.isnan(rows.numeric["n"])) == [False, False, True, False, False, False]
    held = rows.categorical["w"]
    assert [None if code < 0 else held.values[code] for code in held.codes] == ["b", None, "a", "a", "c", "b"]
    assert len(set(held.values)) == len(held.values)
    assert rows.raw == {"x": (2, 3), "t": (1, 3), "i": (0, 3)}


def test_plain_text_and_columns_of_nulls_are_taken() -> None:
    rows = rows_of(pa.table({"w": ["a", None], "v": pa.nulls(2), "x": pa.nulls(2)}), ["x"], ["w", "v"])
    assert list(rows.categorical["v"].codes) == [-1, -1]
    assert np.isnan(rows.numeric["x"]).all()


@pytest.mark.parametrize(
    ("table", "numeric", "categorical", "message"),
    [
        ({"x": [1.0]}, ["x", "y"], [], "there is no column y"),
        ({"x": ["a"]}, ["x"], [], "x has type string"),
        ({"x": [1.0]}, [], ["x"], "x has type double"),
        ({"x": [1.0, float("inf")]}, ["x"], [], "row 1 is infinite"),
    ],
)
def test_what_is_of_another_kind_is_refused(table, numeric, categorical, message: str) -> None:
    with pytest.raises(DriftError, match=message):
        rows_of(pa.table(table), numeric, categorical)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(DriftError, match="columns differ in length: a 2, b 3"):
        Rows({"a": np.zeros(2), "b": np.zeros(3)})
