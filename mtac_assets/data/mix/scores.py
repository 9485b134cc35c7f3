"""What a text is scored by. Pure functions of the text, but for near-duplicates, which look at the texts before it.

length            characters
repetition        share of its runs of five words that came before in the text; 0 is none
compression       bytes by bz2 over bytes in UTF-8: low is repetitive, above 1 is short or noise. bz2, because its output has
                  not changed in twenty years; zlib's depends on who built it
english           share of its words that are among the forty commonest of English. A rough guess at the language, no more
near_duplicates   number of earlier texts of the dataset that it is a near-duplicate of (`minhash`)

The code of this module and of what it imports is the scorer's version: a change scores all texts anew.
"""

from __future__ import annotations

import bz2
from typing import NamedTuple

import numpy as np

from mtac_assets.data.mix.minhash import runs, signature

COMMON_WORDS = frozenset(
    [
        "the",
        "of",
        "and",
        "to",
        "in",
        "a",
        "is",
        "that",
        "for",
        "it",
        "as",
        "was",
        "with",
        "be",
        "by",
        "on",
        "not",
        "he",
        "his",
        "but",
        "at",
        "are",
        "this",
        "have",
        "from",
        "or",
        "had",
        "an",
        "they",
        "which",
        "you",
        "were",
        "all",
        "we",
        "one",
        "can",
        "if",
        "there",
        "when",
        "their",
    ]
)


class TextScores(NamedTuple):
    """The scores of one text, and its signature (uint32 [64])."""

    length: int
    repetition: float
    compression: float
    english: float
    signature: np.ndarray


def score(text: str) -> TextScores:
    """The scores of a text that is not empty."""
    words = text.split()
    hashes = runs(words)
    encoded = text.encode()
    common = sum(word.strip(".,;:!?\"'()[]`").lower() in COMMON_WORDS for word in words)
    return TextScores(
        length=len(text),
        repetition=1 - len(np.unique(hashes)) / len(hashes),
        compression=len(bz2.compress(encoded)) / max(len(encoded), 1),
        english=common / max(len(words), 1),
        signature=signature(hashes),
    )
