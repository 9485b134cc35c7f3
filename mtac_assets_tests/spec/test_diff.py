"""Differences of two resolved documents."""

from __future__ import annotations

import copy
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.spec.diff import ABSENT, Difference, diff
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
documents = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    ),
    max_size=4,
)


def test_leaves_are_named_with_both_values(project: Project):
    old = load_recipe(project, "returns", as_of=date(2024, 2, 1)).document()
    new = load_recipe(
        project, "returns", ["training.epochs=2", "features.numeric=[pages, x]"], date(2024, 2, 2)
    ).document()
    assert {difference.path: (difference.old, difference.new) for difference in diff(old, new)} == {
        "features.numeric": (["pages"], ["pages", "x"]),
        "training.epochs": (1, 2),
        "as_of": ("2024-02-01", "2024-02-02"),
        "history_start": ("2024-01-17", "2024-01-18"),
        "overrides": ([], ["training.epochs=2", "features.numeric=[pages, x]"]),
    }


def test_named_things_are_compared_by_name(project: Project):
    old = load_recipe(project, "returns", as_of=date(2024, 2, 1)).document()["gates"]
    new = copy.deepcopy(old)
    new["thresholds"].insert(0, {"metric": "brier", "min": None, "max": 0.2})
    new["thresholds"][2]["max"] = 0.8
    assert diff(old, new) == [
        Difference("thresholds.log_loss.max", 0.7, 0.8),
        Difference("thresholds.brier.metric", ABSENT, "brier"),
        Difference("thresholds.brier.min", ABSENT, None),
        Difference("thresholds.brier.max", ABSENT, 0.2),
    ]


def test_another_order_is_a_difference():
    old = [{"name": "a"}, {"name": "b"}]
    assert [difference.path for difference in diff({"x": old}, {"x": old[::-1]})] == ["x"]


def test_a_number_of_another_type_is_a_difference():
    assert diff({"x": 1}, {"x": 1.0}) == [Difference("x", 1, 1.0)]
    assert diff({"x": True}, {"x": 1}) == [Difference("x", True, 1)]


@given(documents, documents)
def test_there_are_differences_exactly_where_json_differs(old: dict[str, object], new: dict[str, object]):
    import json

    same = json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
    assert (not diff(old, new)) == same


@given(documents, documents)
def test_the_way_back_is_the_mirror_image(old: dict[str, object], new: dict[str, object]):
    there = {(d.path, repr(d.old), repr(d.new)) for d in diff(old, new)}
    back = {(d.path, repr(d.new), repr(d.old)) for d in diff(new, old)}
    assert there == back
