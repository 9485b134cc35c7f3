"""The stream of sequences: a pure function of seed and place, resumable anywhere, each source's order its own."""

from __future__ import annotations

import json
import resource
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.data.mix.folder import TokensError, array_name
from mtac_assets.data.mix.interleave import Interleave
from mtac_assets.data.mix.stream import Schedule, open_stream
from mtac_assets.data.sampler import indices, place_of

ROWS = {"a": 7, "b": 31, "c": 3}
STAGES = [{"from_step": 0, "weights": {"a": 2, "b": 5, "c": 1}}, {"from_step": 6, "weights": {"a": 1, "b": 1, "c": 0}}]


def write(folder: Path, rows: dict[str, int] = ROWS, length: int = 4, batch: int = 8) -> Path:
    """A training set whose tokens tell their source and place."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, count) in enumerate(sorted(rows.items())):
        tokens = (np.arange(count * length + 1 + number) + 1000 * number).astype("<u2")
        np.save(folder / array_name("train", name, "tokens"), tokens)
    manifest = {
        "schema_version": 1,
        "kind": "tokens",
        "sequence_length": length,
        "batch_size": batch,
        "steps": 10,
        "mix": {"stages": STAGES},
        "sources": [{"name": name, "rows": rows[name]} for name in sorted(rows)],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def schedule(seed: int = 5, rows: dict[str, int] = ROWS, weights: tuple[int, ...] = (2, 5, 1)) -> Schedule:
    names = tuple(sorted(rows))
    return Schedule(seed, names, tuple(rows[name] for name in names), Interleave.of({0: weights}))


WHOLE = schedule().indices(0, 600)


@given(st.integers(0, 2**40), st.text(max_size=5), st.integers(0, 9), st.integers(1, 3000), st.data())
def test_the_permutation_runs_backwards(seed: int, name: str, epoch: int, n: int, data: st.DataObject):
    place = data.draw(st.integers(0, n - 1))
    row = int(indices(seed, name, epoch, n, place, 1)[0])
    assert place_of(seed, name, epoch, n, row) == place


@given(st.integers(0, 300), st.integers(0, 300))
@settings(max_examples=60)
def test_any_stretch_is_the_stretch_of_the_whole(place: int, count: int):
    for a, b in zip(WHOLE, schedule().indices(place, count), strict=True):
        assert np.array_equal(a[place : place + count], b)


def test_each_epoch_of_a_source_takes_each_row_once():
    source_B, row_B = schedule().indices(0, 8 * 31)
    for number, rows in enumerate(ROWS[name] for name in sorted(ROWS)):
        taken = row_B[source_B == number]
        whole = taken[: len(taken) // rows * rows].reshape(-1, rows)
        assert len(whole) > 1
        assert (np.sort(whole, axis=1) == np.arange(rows)).all()
        assert (whole[0] != whole[1]).any()


def test_another_source_or_other_shares_leave_the_order_inside_the_others():
    few, more = schedule(), schedule(rows=ROWS | {"bb": 11}, weights=(3, 1, 1, 7))
    for name in ROWS:
        orders = []
        for one in (few, more):
            source_B, row_B = one.indices(0, 400)
            orders.append(row_B[source_B == one.sources.index(name)])
        shorter = min(map(len, orders))
        assert shorter > 2 * ROWS[name] or name == "b"
        assert np.array_equal(orders[0][:shorter], orders[1][:shorter])


def test_a_row_is_found_at_exactly_the_places_that_hold_it():
    source_B, row_B = schedule().indices(0, 500)
    for name in ROWS:
        number = sorted(ROWS).index(name)
        for row in range(ROWS[name]):
            held = np.flatnonzero((source_B == number) & (row_B == row))
            assert list(schedule().places(name, row, 500)) == list(held)


def test_a_place_is_identified_as_what_it_holds():
    one = schedule()
    source_B, row_B = one.indices(0, 200)
    seen: Counter[str] = Counter()
    for place in range(200):
        name = one.sources[source_B[place]]
        assert one.identify(place) == (name, seen[name] // ROWS[name], row_B[place])
        seen[name] += 1


def test_tokens_are_the_rows_tokens_and_the_target_of_one_row_begins_the_next(tmp_path: Path):
    stream = open_stream(write(tmp_path), seed=3)
    tokens_BT1, source_B = stream.rows(0, 96)
    assert tokens_BT1.shape == (96, 5)
    assert tokens_BT1.dtype == np.int64
    for place in range(96):
        name, _, row = stream.identify(place)
        assert stream.sources[source_B[place]] == name
        first = 1000 * source_B[place] + 4 * row
        assert list(tokens_BT1[place]) == list(range(first, first + 5))
    assert set(stream.rows(48, 48)[1]) == {0, 1}, "the second stage leaves c out"


def test_files_that_differ_from_the_manifest_are_refused(tmp_path: Path):
    folder = write(tmp_path)
    np.save(folder / array_name("train", "b", "tokens"), np.zeros(50, dtype="<u2"))
    with pytest.raises(TokensError, match="12 rows of b, 31 in the manifest"):
        open_stream(folder, 0)
    (folder / array_name("train", "b", "tokens")).unlink()
    with pytest.raises(TokensError, match="cannot be opened"):
        open_stream(folder, 0)
    with pytest.raises(ValueError, match="expected 0 or more"):
        schedule().indices(-1, 2)


def test_a_trillion_places_take_no_more_memory_than_a_few():
    one = schedule(rows={"a": 10**9, "b": 10**10, "c": 10**6})
    one.indices(0, 4096)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for place in (10**6, 10**9, 10**12):
        one.indices(place, 4096)
        one.identify(place)
        assert next(one.places("a", 12345, 10**12)) < 10**12
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2048  # KiB
