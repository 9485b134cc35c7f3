from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from mtac_assets.evaluation.svg import Markup, Scale, mark, padded, picture, segments, text

numbers = st.floats(-1e6, 1e6, allow_nan=False)


@given(numbers, numbers)
def test_a_scale_has_two_or_more_round_ticks_within_it(low: float, high: float) -> None:
    assume(high - low > 1e-6 * max(1, abs(low), abs(high)))
    ticks = Scale(low, high, 0, 100).ticks(3)
    assert 2 <= len(ticks) <= 9
    slack = (high - low) * 1e-6
    assert all(low - slack <= tick <= high + slack for tick in ticks)


@given(st.lists(numbers | st.none(), min_size=1).filter(lambda values: any(v is not None for v in values)))
def test_a_padded_scale_holds_what_it_was_made_for(values: list[float | None]) -> None:
    scale = padded(values, 0, 100)
    assert all(0 <= scale(value) <= 100 for value in values if value is not None)


def test_words_from_the_data_cannot_become_markup() -> None:
    drawn = picture(10, 10, [text(0, 0, "<script>"), mark(0, 0, "circle", "model", title="a & b")], 'say "hi"')
    assert isinstance(drawn, Markup)
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn
    assert "a &amp; b" in drawn


def test_segments_are_one_element_and_none_is_nothing() -> None:
    assert segments([(0, 1, 2, 3), (4.05, 5, 4.05, 5)], "a b") == '<path d="M0 1L2 3M4 5L4 5" class="a b"/>'
    assert segments([], "a") == ""
