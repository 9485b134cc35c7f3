"""Near-duplicates: estimated similarity against the exact one, copies found, strangers not."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.data.mix.minhash import duplicates_among, earlier_duplicates, runs, signature, similarity


def text(seed: int, words: int = 400) -> list[str]:
    draw = random.Random(seed)
    return [f"w{draw.randrange(5000)}" for _ in range(words)]


def changed(words: list[str], share: float, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [f"x{draw.randrange(10**6)}" if draw.random() < share else word for word in words]


def signatures(texts: list[list[str]]) -> np.ndarray:
    return np.stack([signature(runs(words)) for words in texts])


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.005, 0.02, 0.1, 0.5]))
@settings(max_examples=40)
def test_the_estimate_is_near_the_exact_similarity(seed: int, share: float):
    one, other = runs(text(seed)), runs(changed(text(seed), share, seed))
    exact = len(np.intersect1d(one, other)) / len(np.union1d(one, other))
    estimated = similarity(signature(one), signature(other)[None])[0]
    assert abs(estimated - exact) < 6 * np.sqrt(0.25 / 64)
    assert share > 0 or estimated == 1


def test_every_copy_but_the_first_has_an_earlier_duplicate_and_no_stranger_has():
    texts = [text(seed) for seed in range(60)]
    texts += [changed(text(7), 0.002), text(7), text(7), changed(text(30), 0.5)]
    counts = earlier_duplicates(signatures(texts))
    assert list(np.flatnonzero(counts)) == [60, 61, 62]


def test_held_out_texts_are_matched_with_their_likes_to_train_on():
    known = signatures([text(seed) for seed in range(50)])
    asked = signatures([text(99), changed(text(3), 0.002), text(49)])
    assert list(duplicates_among(asked, known)) == [-1, 3, 49]


def test_short_and_empty_texts_have_a_signature_and_differ_by_their_words():
    short = signatures([["a"], ["b"], [], ["a", "b", "c", "d"], ["a", "b", "c", "d"]])
    assert list(earlier_duplicates(short)) == [0, 0, 0, 0, 1]
    assert len(earlier_duplicates(short[:0])) == 0


def test_hashes_are_the_same_on_every_machine():
    assert [hex(value) for value in runs(["the", "order", "of", "these", "words", "counts"])] == GOLDEN_RUNS
    assert int(signature(runs(text(0))).astype(np.uint64).sum()) == GOLDEN_SUM


GOLDEN_RUNS = ["0x242cad58d552ecbd", "0xbf48a644dace66dc"]
GOLDEN_SUM = 573881404
