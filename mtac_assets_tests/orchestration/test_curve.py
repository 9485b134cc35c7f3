"""The loss as a picture: inside its frame and short enough to be shown, whatever the values; nothing where there is nothing."""

from __future__ import annotations

import math
import random
import re
from itertools import accumulate
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.orchestration import curve

finite = st.floats(-1e6, 1e6)


@given(
    st.lists(st.tuples(st.integers(0, 10_000_000), finite), min_size=2, max_size=600),
    st.lists(finite, max_size=60),
)
def test_every_point_lies_inside_the_frame(points: list[tuple[int, float]], validation: list[float]) -> None:
    training = [(float(step), value) for step, value in sorted(points)]
    drawing = curve.draw({"training": training, "validation": [(float(n), v) for n, v in enumerate(validation)]})
    assert drawing is not None
    ElementTree.fromstring(drawing)
    for path in re.findall(r'<path d="M(\d+ \d+(?:l[^"V]*)?)" stroke', drawing):
        start, _, moves = path.partition("l")
        numbers = [int(number) for number in re.findall(r"-?\d+", moves)]
        x, y = map(int, start.split())
        assert all(curve.LEFT <= each <= curve.RIGHT for each in accumulate([x, *numbers[::2]]))
        assert all(curve.TOP <= each <= curve.BOTTOM for each in accumulate([y, *numbers[1::2]]))


@given(st.integers(0, 2**32), st.integers(2, 5000), st.integers(0, 300), st.floats(1e-6, 1e6))
def test_the_picture_is_short_enough_to_be_shown_where_it_stands(
    seed: int, steps: int, epochs: int, scale: float
) -> None:
    noise = random.Random(seed)
    curve_of: list[dict[str, object]] = [{"step": 10 * n, "loss": noise.random() * scale} for n in range(steps)]
    curve_of += [{"step": 150 * n, "validation": {"log_loss": noise.random() * scale}} for n in range(epochs)]
    shown = str(curve.picture({"curve": curve_of}).value)
    assert shown.startswith("![loss](data:image/svg+xml;base64,")
    assert len(shown) < curve.LONGEST_SHOWN


def test_a_point_is_the_mean_of_its_share() -> None:
    assert curve._means([(1.0, 1.0), (2.0, 3.0), (3.0, 5.0), (4.0, 7.0)], 2) == [(2.0, 2.0), (4.0, 6.0)]


def test_what_is_no_number_is_left_out_and_too_little_is_said() -> None:
    training = {"curve": [{"step": 1, "loss": math.nan}, {"step": 2, "loss": 0.5}, {"step": 3, "validation": {}}]}
    lines = curve.series(training)
    assert lines["training"] == [(2.0, 0.5)]
    assert curve.draw(lines) is None
    assert "too short" in str(curve.picture(training).value)


def test_a_single_validation_is_a_dot() -> None:
    drawing = curve.draw({"training": [(1.0, 0.7), (2.0, 0.5)], "validation": [(2.0, 0.6)]})
    assert drawing is not None
    assert f'<circle cx="{curve.RIGHT}"' in drawing
