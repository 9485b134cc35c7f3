"""The content digest counts what a partition says, and nothing of how it is laid out."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.data.content import content_digest, equals_previous, row_order, slice_digests

KEY = ["id", "word"]
WORDS = st.one_of(st.none(), st.text(max_size=4))
NUMBERS = st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1))
FLOATS = st.one_of(st.none(), st.floats(width=64))
MOMENTS = st.one_of(st.none(), st.integers(-(2**40), 2**40))
SCHEMA = pa.schema(
    {
        "id": pa.int32(),
        "word": pa.string(),
        "value": pa.float64(),
        "at": pa.timestamp("us", tz="UTC"),
        "good": pa.bool_(),
    }
)
ROWS = st.lists(
    st.tuples(NUMBERS, WORDS, FLOATS, MOMENTS, st.one_of(st.none(), st.booleans())), min_size=1, max_size=12
)


def table(rows) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def same(a: object, b: object) -> bool:
    """Whether two values are one value to the digest: by type and bits, all NaN alike."""
    if isinstance(a, float) and isinstance(b, float):
        return (a != a and b != b) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    return type(a) is type(b) and a == b


@settings(max_examples=60)
@given(ROWS, st.randoms())
def test_layout_does_not_count(rows, chance: random.Random) -> None:
    original = content_digest(table(rows), KEY)
    shuffled = rows[:]
    chance.shuffle(shuffled)
    cut = chance.randint(0, len(rows))
    chunked = pa.concat_tables(
        [table(shuffled[:cut]) if cut else SCHEMA.empty_table(), *([table(shuffled[cut:])] if cut < len(rows) else [])]
    )
    encoded = chunked.set_column(1, "word", chunked["word"].dictionary_encode())
    large = chunked.set_column(1, "word", chunked["word"].cast(pa.large_string()))
    sliced = pa.concat_tables([table(shuffled), table(shuffled)]).combine_chunks().slice(len(rows))
    for other in (chunked, encoded, large, sliced):
        assert content_digest(other, KEY) == original


@settings(max_examples=80)
@given(ROWS, st.data())
def test_any_changed_value_counts(rows, data) -> None:
    row = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(0, len(SCHEMA) - 1))
    value = data.draw([NUMBERS, WORDS, FLOATS, MOMENTS, st.one_of(st.none(), st.booleans())][column])
    changed = [tuple(value if (i, j) == (row, column) else old for j, old in enumerate(r)) for i, r in enumerate(rows)]
    unchanged = same(rows[row][column], value)
    assert (content_digest(table(changed), KEY) == content_digest(table(rows), KEY)) is unchanged


@given(ROWS)
@settings(max_examples=20)
def test_names_types_and_rows_count(rows) -> None:
    whole = table(rows)
    digests = {
        content_digest(whole, KEY),
        content_digest(whole.rename_columns(["id", "word", "worth", "at", "good"]), KEY),
        content_digest(whole.set_column(0, "id", whole["id"].cast(pa.int64())), KEY),
        content_digest(whole.set_column(3, "at", whole["at"].cast(pa.timestamp("ns", tz="UTC"))), KEY),
        content_digest(pa.concat_tables([whole, whole.slice(0, 1)]), KEY),
        content_digest(whole.slice(1), KEY),
        content_digest(whole.drop_columns(["good"]), KEY),
    }
    assert len(digests) == 7


def digest_of(values, kind: pa.DataType) -> str:
    return content_digest(
        pa.table({"id": pa.array(range(len(values)), pa.int8()), "v": pa.array(values, kind)}), ["id"]
    )


def test_null_nan_zero_and_empty_are_four_things() -> None:
    floats = [digest_of([value], pa.float64()) for value in (None, float("nan"), 0.0, -0.0)]
    assert len(set(floats)) == 4
    assert digest_of([None], pa.string()) != digest_of([""], pa.string())


def test_every_nan_is_one_value() -> None:
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], dtype="<u8").view("<f8")
    assert digest_of(odd, pa.float64()) == digest_of([float("nan")] * 2, pa.float64())


def test_text_does_not_run_together() -> None:
    assert digest_of(["ab", "c"], pa.string()) != digest_of(["a", "bc"], pa.string())


def test_slices_have_the_digests_of_their_tables() -> None:
    parts = [table([(i, str(i), i / 7, i, None) for i in range(start, start + 5)]) for start in (0, 100, 200)]
    together = pa.concat_tables(parts).combine_chunks()
    assert slice_digests(together, np.array([0, 5, 10, 15])) == [content_digest(part, KEY) for part in parts]


def test_the_digest_never_moves() -> None:
    """Models are found by this digest: a change of the algorithm orphans every one. Never adapt the expectation."""
    frozen = pa.table(
        {
            "id": pa.array([2, 1, 3], pa.int16()),
            "word": pa.array(["b", None, "ä"]),
            "value": pa.array([0.5, None, -0.0], pa.float32()),
            "at": pa.array([datetime(2013, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("us", tz="UTC")),
            "good": pa.array([True, None, False]),
        }
    )
    assert content_digest(frozen, ["id"]) == "df498f2f66f869dc962a0dd89299eedb625f6a0e641bb962666237737d2989fc"


def test_order_is_by_partition_then_key_whatever_the_ranges() -> None:
    chance = np.random.default_rng(5)
    wide = pa.table(
        {
            "a": pa.array(chance.integers(-(2**62), 2**62, 500)),
            "b": pa.array(chance.choice(["x", "é", "zz", ""], 500)),
            "c": pa.array(chance.normal(size=500)),
        }
    )
    partition = chance.integers(0, 3, 500).astype(np.int32)
    order = row_order(wide, ["a", "b", "c"], partition)
    rows = list(zip(partition.tolist(), *(column.to_pylist() for column in wide.itercolumns()), strict=True))
    expected = sorted(range(500), key=lambda i: (rows[i][0], rows[i][1], rows[i][2].encode(), rows[i][3]))
    assert order.tolist() == expected


def test_equal_rows_are_seen() -> None:
    repeated = table(
        [(1, "a", 0.0, 1, None), (1, "a", 0.0, 1, None), (1, "a", -0.0, 1, None), (1, None, -0.0, 1, None)]
    )
    assert equals_previous(repeated, SCHEMA.names).tolist() == [False, True, False, False]
    assert equals_previous(repeated, KEY).tolist() == [False, True, True, False]


def test_a_type_without_a_digest_is_refused() -> None:
    with pytest.raises(ValueError, match="list"):
        content_digest(pa.table({"id": pa.array([1]), "v": pa.array([[1]])}), ["id"])
