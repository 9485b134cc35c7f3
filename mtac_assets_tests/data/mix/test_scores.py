"""Scores of a text say what they are called."""

from __future__ import annotations

import random

import pytest

from mtac_assets.data.mix.scores import score

ENGLISH = (
    "The model is trained on the days before the date, and it is judged on those that follow. When the two are not the same, "
    "there is a note that says which of them was taken and why it was the one."
)


def test_repetition_counts_runs_that_came_before():
    assert score(ENGLISH).repetition == 0
    assert score("one two three four five " * 20).repetition == pytest.approx(1 - 5 / 96)
    assert score("word").repetition == 0


def test_compression_is_low_where_a_text_repeats_and_high_where_it_is_noise():
    draw = random.Random(0)
    noise = "".join(chr(33 + draw.randrange(90)) for _ in range(5000))
    assert score("the same line\n" * 500).compression < 0.02
    assert 0.3 < score(ENGLISH * 3).compression < 0.7
    assert score(noise).compression > 0.7


def test_english_is_told_from_code_and_from_german():
    german = "Das Modell lernt aus den Tagen vor dem Stichtag und wird an denen gemessen, die danach kommen."
    code = "def f(x):\n    return [y for y in x if y % 2]\n" * 3
    assert score(ENGLISH).english > 0.35
    assert score(german).english < 0.1
    assert score(code).english < 0.3


def test_length_is_in_characters():
    assert score("grün").length == 4
