"""Row hashes name rows by value alone; parts of a recipe without time depend on the row and the seed alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.data.training_set_rows import parts, row_hashes
from mtac_assets.spec.recipe import Split

rows = st.lists(
    st.tuples(
        st.one_of(st.none(), st.text(max_size=3)), st.one_of(st.none(), st.integers(-5, 5)), st.floats(allow_nan=False)
    ),
    min_size=1,
    max_size=12,
)


def table(content: list[tuple]) -> pa.Table:
    names, numbers, prices = zip(*content, strict=True)
    return pa.table(
        {
            "name": pa.array(names, pa.string()),
            "n": pa.array(numbers, pa.int16()),
            "price": pa.array(prices, pa.float64()),
        }
    )


@settings(max_examples=60)
@given(content=rows)
def test_hashes_agree_exactly_where_rows_agree(content) -> None:
    hashes = row_hashes(table(content), ["name", "n", "price"])
    for i, one in enumerate(content):
        for j, other in enumerate(content):
            assert (hashes[i] == hashes[j]) == (one == other)


@settings(max_examples=30)
@given(content=rows)
def test_encoding_type_width_chunks_and_order_do_not_count(content) -> None:
    plain = table(content)
    other = pa.table(
        {
            "name": plain["name"].dictionary_encode(),
            "n": plain["n"].cast(pa.int64()),
            "price": pa.chunked_array([plain["price"].slice(0, 1), plain["price"].slice(1)]),
        }
    )
    hashes = row_hashes(plain, ["name", "n", "price"])
    assert np.array_equal(hashes, row_hashes(other, ["name", "n", "price"]))
    order = np.arange(len(content))[::-1]
    assert np.array_equal(row_hashes(plain.take(pa.array(order)), ["name", "n", "price"]), hashes[order])


def test_values_do_not_move_between_columns() -> None:
    one, other = table([("a", 1, 2.0)]), table([("a", 2, 1.0)])
    assert row_hashes(one, ["n", "price"])[0] != row_hashes(other, ["n", "price"])[0]


def test_a_moment_hashes_alike_in_every_unit() -> None:
    micro = pa.table({"at": pa.array([1_700_000_000_000_000, None], pa.timestamp("us", tz="UTC"))})
    nano = pa.table({"at": micro["at"].cast(pa.timestamp("ns", tz="UTC"))})
    assert np.array_equal(row_hashes(micro, ["at"]), row_hashes(nano, ["at"]))


def split(**values) -> Split:
    return Split(**({"validate_share": 0.2, "test_share": 0.3, "by": ("name",), "seed": 1} | values))


def customers(count: int) -> pa.Table:
    return table([(f"c{n // 2}", n % 7, float(n)) for n in range(count)])


def test_shares_are_met_and_equal_values_stay_together() -> None:
    many = customers(40_000)
    found = parts(many, split())
    assert np.array_equal(found[::2], found[1::2])
    shares = np.bincount(found) / len(found)
    assert np.allclose(shares, [0.5, 0.2, 0.3], atol=5 * np.sqrt(0.25 / 20_000))


def test_a_row_keeps_its_part_whatever_other_rows_there_are() -> None:
    assert np.array_equal(parts(customers(100), split()), parts(customers(1000), split())[:100])


def test_another_seed_parts_otherwise_and_no_columns_means_the_whole_row() -> None:
    many = customers(1000)
    assert (parts(many, split(seed=2)) != parts(many, split())).mean() > 0.3
    assert (parts(many, split(by=()))[::2] != parts(many, split(by=()))[1::2]).any()
