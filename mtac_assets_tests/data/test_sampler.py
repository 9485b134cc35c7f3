"""The sampler: each row once an epoch, the same order however it is asked for, another order for any other key."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.data.sampler import CHUNK, indices

sizes = st.one_of(st.integers(1, 40), st.integers(1, 3000), st.sampled_from([2**12 - 1, 2**12, 2**12 + 1, CHUNK + 3]))


@settings(max_examples=60)
@given(n=sizes, seed=st.integers(0, 2**63), epoch=st.integers(0, 1000))
def test_an_epoch_holds_each_row_once(n: int, seed: int, epoch: int) -> None:
    order = indices(seed, "rows", epoch, n, 0, n)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(n))


@settings(max_examples=60)
@given(n=sizes, cuts=st.lists(st.floats(0, 1), max_size=4))
def test_chunks_do_not_matter(n: int, cuts: list[float]) -> None:
    whole = indices(3, "rows", 2, n, 0, n)
    edges = [0, *sorted(int(cut * n) for cut in cuts), n]
    parts = [indices(3, "rows", 2, n, low, high - low) for low, high in itertools.pairwise(edges)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_any_part_of_the_key_gives_another_order() -> None:
    orders = [
        indices(seed, source, epoch, n, 0, 100)
        for seed, source, epoch, n in [
            (0, "a", 0, 1000),
            (1, "a", 0, 1000),
            (0, "b", 0, 1000),
            (0, "a", 1, 1000),
            (0, "a", 0, 1001),
        ]
    ]
    for one, other in itertools.combinations(orders, 2):
        assert (one == other).mean() < 0.1


def test_the_order_of_a_handful_of_rows_is_even() -> None:
    """All 24 orders of four rows come up alike over 960 seeds: 40 times each, give or take five standard deviations."""
    counts = Counter(tuple(indices(seed, "rows", 0, 4, 0, 4).tolist()) for seed in range(960))
    assert len(counts) == 24
    assert all(9 <= count <= 71 for count in counts.values())


def test_neighbours_are_unrelated() -> None:
    order = indices(5, "rows", 0, 50_000, 0, 50_000).astype(float)
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 0.025  # five standard deviations of chance


def test_the_order_is_the_one_that_models_were_trained_with() -> None:
    """Frozen: another order is another model."""
    assert indices(20130101, "rows", 0, 45_000, 0, 6).tolist() == FROZEN


FROZEN = [23271, 11853, 24432, 40914, 11498, 9187]


@pytest.mark.parametrize(
    ("n", "start", "count", "epoch"), [(10, 5, 6, 0), (10, -1, 2, 0), (0, 0, 0, 0), (10, 0, -1, 0), (10, 0, 1, -1)]
)
def test_places_outside_the_epoch_are_refused(n: int, start: int, count: int, epoch: int) -> None:
    with pytest.raises(ValueError, match="places"):
        indices(1, "rows", epoch, n, start, count)
