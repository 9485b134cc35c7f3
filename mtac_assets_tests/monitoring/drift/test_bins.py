from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from mtac_assets.monitoring.drift.bins import RANK_STEPS, category_bins, numeric_bins
from mtac_assets.monitoring.drift.rows import Column

X = Column("feature", "x")
numbers = npst.arrays(np.float32, st.integers(1, 200), elements=st.floats(-1e6, 1e6, width=32) | st.just(float("nan")))


@given(numbers, st.randoms())
def test_bins_hold_every_value_and_know_no_order(values: np.ndarray, random) -> None:
    bins = numeric_bins(X, [values])
    shuffled = values.copy()
    random.shuffle(shuffled)
    again = numeric_bins(X, [shuffled[:50], shuffled[50:]])
    assert bins.edges.tobytes() == again.edges.tobytes()
    assert bins.sigma == again.sigma
    assert (np.diff(bins.edges) > 0).all()
    assert len(bins.ranks) == len(bins.edges) + 1
    assert (np.diff(bins.ranks) >= 0).all()
    assert np.abs(bins.ranks).max() <= RANK_STEPS


def test_a_value_that_many_share_has_a_bin_of_its_own() -> None:
    bins = numeric_bins(X, [np.array([0.0] * 500 + [1.0] * 500)])
    places = np.searchsorted(bins.edges, [-1e-9, 0.0, 1e-9, 1.0, 1.0 + 1e-9])
    assert len(set(places)) == 5


def test_a_column_without_a_value_has_one_bin() -> None:
    bins = numeric_bins(X, [np.full(3, np.nan)])
    assert (len(bins.edges), len(bins.ranks), bins.sigma) == (0, 1, 0.0)


def test_sigma_is_that_of_the_reference() -> None:
    values = np.random.default_rng(0).normal(5, 3, 20_000)
    assert numeric_bins(X, [values]).sigma == pytest.approx(3, rel=0.02)


@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9)), max_size=6))
def test_categories_know_their_rows_and_when_they_were_seen(blocks: list[dict[str, int]]) -> None:
    bins = category_bins(X, blocks)
    for place, value in enumerate(bins.known):
        seen = [n for n, block in enumerate(blocks) if value in block]
        assert (bins.first[place], bins.last[place]) == (seen[0], seen[-1])
        assert bins.count[place] == sum(blocks[n][value] for n in seen)
    assert sorted(bins.known) == sorted({value for block in blocks for value in block})
    assert list(bins.count) == sorted(bins.count, reverse=True)
