"""The loss as a picture: inside its frame whatever the values, and nothing where there is nothing to draw."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.orchestration import curve

finite = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(st.integers(0, 100_000), finite), min_size=2, max_size=600))
def test_every_point_lies_inside_the_frame(points: list[tuple[int, float]]) -> None:
    drawing = curve.draw({"training": [(float(step), value) for step, value in sorted(points)]})
    assert drawing is not None
    ElementTree.fromstring(drawing)
    (line,) = re.findall(r'polyline points="([^"]*)"', drawing)
    pairs = [tuple(map(float, pair.split(","))) for pair in line.split()]
    assert 2 <= len(pairs) <= curve.MOST_POINTS + 1
    assert all(curve.LEFT - 0.1 <= x <= curve.WIDTH - curve.RIGHT + 0.1 for x, _ in pairs)
    assert all(curve.TOP - 0.1 <= y <= curve.HEIGHT - curve.BOTTOM + 0.1 for _, y in pairs)


def test_what_is_no_number_is_left_out_and_too_little_is_said() -> None:
    lines = curve.series([{"step": 1, "loss": math.nan}, {"step": 2, "loss": 0.5}, {"step": 3, "loss": None}])
    assert lines["training"] == [(2.0, 0.5)]
    assert curve.draw(lines) is None
    assert "too short" in curve.picture([]).value
