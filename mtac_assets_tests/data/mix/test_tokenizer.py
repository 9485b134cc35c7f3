"""The tokeniser: any text comes back, nothing in a text ends it, and another tokeniser is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.data.mix.errors import MixError
from mtac_assets.data.mix.tokenizer import open_tokenizer, save, train
from mtac_assets.spec.language import Tokenizer

TEXTS = ["the tide rises by the wall of the harbour and falls again " * 4, "def f(a):\n    return a + 1\n" * 3] * 3


def spec(size: int = 300) -> Tokenizer:
    return Tokenizer(kind="byte_bpe", vocabulary_size=size, trained_on=("a",))


TRAINED = train(spec(), TEXTS, "here")


@given(st.text())
def test_any_text_comes_back(text: str):
    (tokens,) = TRAINED.encode([text])
    assert TRAINED.decode(tokens.tolist()) == text
    assert TRAINED.end_of_text not in tokens


def test_two_trainings_are_one_tokeniser_whatever_the_order_of_documents():
    assert train(spec(), TEXTS, "here").digest == TRAINED.digest
    assert train(spec(), TEXTS[::-1], "here").digest == TRAINED.digest
    assert train(spec(290), TEXTS, "here").digest != TRAINED.digest


def test_too_few_texts_are_told_with_the_largest_vocabulary():
    with pytest.raises(MixError) as caught:
        train(spec(5000), TEXTS, "here")
    (finding,) = caught.value.findings
    size = int(finding.remedy.split("vocabulary_size: ")[1].split(",")[0])
    assert train(spec(size), TEXTS, "here").vocabulary_size == size


def test_a_stored_tokeniser_is_the_one_described_or_refused(tmp_path: Path):
    path = tmp_path / "tokenizer.json"
    save(TRAINED, path)
    described = TRAINED.document()
    assert open_tokenizer(path, described).digest == TRAINED.digest
    document = json.loads(path.read_text())
    document["model"]["merges"] = document["model"]["merges"][::-1]
    path.write_text(json.dumps(document))
    with pytest.raises(MixError, match="has the digest"):
        open_tokenizer(path, described)
    path.write_text("{")
    with pytest.raises(MixError, match="cannot be read"):
        open_tokenizer(path, described)
