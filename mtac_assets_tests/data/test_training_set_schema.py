"""Encoding: the one way from feature rows to arrays, the same for every kind of frame."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mtac_assets.data.training_set_schema import EncodingError, FeatureSchema, encode

SCHEMA = FeatureSchema(("price", "many"), ("shop", "size"), (("north", "south"), ("large",)))
FRAME = pd.DataFrame(
    {
        "size": ["large", "huge", None],
        "unused": [1, 2, 3],
        "many": [True, False, True],
        "shop": ["south", "north", "east"],
        "price": [1.5, np.nan, 3],
    }
)


def test_columns_are_found_by_name_and_the_unknown_is_zero() -> None:
    numeric, categorical = encode(FRAME, SCHEMA)
    assert (numeric.dtype, categorical.dtype) == (np.float32, np.int32)
    assert np.array_equal(numeric, np.array([[1.5, 1], [np.nan, 0], [3, 1]], np.float32), equal_nan=True)
    assert categorical.tolist() == [[2, 1], [1, 0], [0, 0]]


@pytest.mark.parametrize(
    "frame",
    [
        FRAME.astype({"shop": "category", "size": "category", "price": "float32"}),
        FRAME.astype({"shop": "string", "price": "Float64"}),
        FRAME[::-1].reset_index(drop=True)[::-1],
        pa.Table.from_pandas(FRAME, preserve_index=False),
        pa.Table.from_pandas(FRAME.astype({"shop": "category"}), preserve_index=False),
        pa.concat_tables([pa.Table.from_pandas(FRAME[:1], preserve_index=False), pa.Table.from_pandas(FRAME[1:].reset_index(drop=True), preserve_index=False)]),
    ],
    ids=["category", "nullable", "index", "arrow", "dictionary", "chunks"],
)  # fmt: skip
def test_the_kind_of_frame_does_not_matter(frame) -> None:
    for expected, found in zip(encode(FRAME, SCHEMA), encode(frame, SCHEMA), strict=True):
        assert np.array_equal(expected, found, equal_nan=True)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME.drop(columns="price"), "no column price"),
        (FRAME.assign(price="1"), "price has type string"),
        (FRAME.assign(shop=1), "shop has type int64"),
        (FRAME.assign(price=[1, 2, np.inf]), "infinite in row 2"),
        (FRAME.assign(price=1e300), "infinite in row 0"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(frame, message: str) -> None:
    with pytest.raises(EncodingError, match=message):
        encode(frame, SCHEMA)


def test_a_column_of_nulls_only_is_missing() -> None:
    numeric, categorical = encode(FRAME.assign(price=None, shop=None), SCHEMA)
    assert np.isnan(numeric[:, 0]).all()
    assert (categorical[:, 0] == 0).all()


def test_the_document_reads_back_to_the_schema() -> None:
    assert FeatureSchema.from_manifest(SCHEMA.document()) == SCHEMA
    assert SCHEMA.vocabulary_sizes == (2, 1)
