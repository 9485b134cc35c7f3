from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.monitoring.drift import sketch as sketch_module
from mtac_assets.monitoring.drift.rows import Categories, Rows
from mtac_assets.monitoring.drift.sketch import Sketch, sketch, stack, total


def test_counts_are_those_of_a_plain_loop(world) -> None:
    rows, layout = world.day(3), world.reference.layout
    counted = sketch(rows, layout)
    values = rows.numbers()
    start = 0
    ranks = []
    for bins in layout.numeric:
        column = values[bins.column]
        present = column[~np.isnan(column)]
        plain = np.bincount([int((bins.edges < value).sum()) for value in present], minlength=len(bins.ranks))
        assert (counted.bins[start : start + len(bins.ranks)] == plain).all()
        start += len(bins.ranks)
        ranks.append([0 if np.isnan(value) else bins.ranks[int((bins.edges < value).sum())] for value in column])
    held = ~np.isnan(np.stack([values[bins.column] for bins in layout.numeric]))
    for place, (a, b) in enumerate(zip(*layout.pairs, strict=True)):
        assert counted.products[place] == np.dot(ranks[a], ranks[b])
        assert counted.together[place] == (held[a] & held[b]).sum()
    assert list(counted.missing[: len(held)]) == list((~held).sum(axis=1))
    words = rows.categorical["word"]
    known = layout.categorical[0].known
    assert list(counted.categories) == [(words.codes == words.values.index(word)).sum() for word in known]
    assert counted.missing[len(held)] == (words.codes == -1).sum()
    assert (counted.missing[-1], counted.sizes[-1]) == rows.raw["tail"]


@settings(max_examples=20)
@given(st.integers(0, 300))
def test_parts_add_up_to_the_whole(world, cut: int) -> None:
    rows = world.day(4)
    parts = [part(rows, slice(0, cut)), part(rows, slice(cut, None))]
    parts[0] = Rows(parts[0].numeric, parts[0].categorical, parts[0].score, rows.raw)
    parts[1] = Rows(parts[1].numeric, parts[1].categorical, parts[1].score, {"tail": (0, 0)})
    assert_equal(total(stack([sketch(one, world.reference.layout) for one in parts])), sketch(rows, world.reference.layout))  # fmt: skip


def test_chunks_change_nothing(world, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sketch(world.day(4), world.reference.layout)
    monkeypatch.setattr(sketch_module, "CHUNK", 7)
    assert_equal(sketch(world.day(4), world.reference.layout), whole)


def test_categories_never_seen_are_counted_apart(world) -> None:
    rows = world.day(4)
    strange = Rows(rows.numeric, {"word": Categories(np.arange(300) % 3 - 1, ("yew", "ash"))}, rows.score, rows.raw)
    counted = sketch(strange, world.reference.layout)
    assert counted.new[0] == 100
    assert counted.categories.sum() == 100


def part(rows: Rows, at: slice) -> Rows:
    words = rows.categorical["word"]
    assert rows.score is not None
    return Rows(
        {name: values[at] for name, values in rows.numeric.items()},
        {"word": Categories(words.codes[at], words.values)},
        rows.score[at],
        rows.raw,
    )


def assert_equal(a: Sketch, b: Sketch) -> None:
    for one in fields(Sketch):
        assert (getattr(a, one.name) == getattr(b, one.name)).all(), one.name
