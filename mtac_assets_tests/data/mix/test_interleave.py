"""Whose turn it is: exact to within one row at every prefix, whole in every period, and the same forwards and backwards."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.data.mix.interleave import Interleave, lay_out, weights_of

WEIGHTS = st.lists(st.integers(0, 60), min_size=1, max_size=8).filter(any)


@given(WEIGHTS)
def test_shares_are_exact_to_within_one_row_at_every_prefix(weights: list[int]):
    period = lay_out(weights)
    total = sum(weights)
    present = sum(1 for weight in weights if weight)
    bound = total * (1 - 1 / (2 * present - 2)) if present > 1 else 0
    for source, weight in enumerate(weights):
        came = np.cumsum(period.turns == source)
        due = np.arange(1, total + 1) * weight
        assert np.abs(came * total - due).max() <= bound + 1e-9
        assert came[-1] == weight


def test_weights_that_a_tree_of_lines_would_get_wrong_stay_within_one_row():
    weights = [1, 100, 100, 200, 300, 500, 800, 1300]
    period = lay_out(weights)
    total = sum(weights)
    for source, weight in enumerate(weights):
        came = np.cumsum(period.turns == source)
        assert np.abs(came - np.arange(1, total + 1) * weight / total).max() < 1


@given(WEIGHTS, st.lists(st.integers(1, 500), max_size=3, unique=True), st.data())
@settings(max_examples=60)
def test_any_stretch_is_the_stretch_of_the_whole_and_counts_agree(
    weights: list[int], starts: list[int], data: st.DataObject
):
    by_start = {0: weights} | {start: data.draw(st.permutations(weights)) for start in starts}
    interleave = Interleave.of(by_start)
    whole = interleave.turns(0, 700)
    place = data.draw(st.integers(0, 699))
    count = data.draw(st.integers(0, 700 - place))
    assert np.array_equal(interleave.turns(place, count), whole[place : place + count])
    counts = interleave.counts(place)
    assert counts == tuple(int((whole[:place] == source).sum()) for source in range(len(weights)))
    source = int(whole[place])
    assert interleave.place(source, counts[source]) == place


def test_a_source_without_a_share_has_no_place_until_its_stage_and_none_after_it():
    interleave = Interleave.of({0: [1, 0], 10: [1, 1], 20: [1, 0]})
    assert set(interleave.turns(0, 10)) == {0}
    assert (interleave.turns(10, 10) == 1).sum() == 5
    assert 10 <= (interleave.place(1, 0) or 0) < 20
    assert interleave.place(1, 5) is None


def test_places_far_out_are_as_quick_and_exact_as_the_first():
    interleave = Interleave.of({0: [3, 4, 1]})
    far = 10**12
    assert np.array_equal(interleave.turns(8 * far, 100), interleave.turns(0, 100))
    assert interleave.counts(8 * far + 8) == (3 * far + 3, 4 * far + 4, far + 1)


def test_weights_are_the_smallest_in_their_proportion():
    assert weights_of([Fraction(3, 8), Fraction(1, 2), Fraction(1, 8)]) == (3, 4, 1)
    assert weights_of([Fraction(0), Fraction(1)]) == (0, 1)
