"""The tokeniser: byte-level byte-pair encoding, trained on the training documents, stored with a digest over what it does.

The end of text is the last token of the vocabulary and no part of the tokeniser itself: text that happens to read like a special
token is text, and nothing in a document can end it.

Sources: R. Sennrich, B. Haddow, A. Birch, "Neural machine translation of rare words with subword units", ACL 2016;
A. Radford et al., "Language models are unsupervised multitask learners", 2019 (on bytes). The library is Hugging Face's `tokenizers`.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from mtac_assets.data.mix.errors import MixError
from mtac_assets.provenance.digest import digest_json
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.language import Tokenizer as TokenizerSpec

BYTES = 256


@dataclass(frozen=True)
class TextTokenizer:
    """A trained tokeniser. `vocabulary_size` counts the end of text, its last token."""

    inner: tokenizers.Tokenizer
    vocabulary_size: int

    @property
    def end_of_text(self) -> int:
        return self.vocabulary_size - 1

    @property
    def digest(self) -> str:
        """Over vocabulary, merges and how text is cut: equal where equal text has equal tokens."""
        return _digest(self.inner.to_str(), self.vocabulary_size)

    def document(self) -> dict[str, Any]:
        """For manifests."""
        return {
            "kind": "byte_bpe",
            "vocabulary_size": self.vocabulary_size,
            "end_of_text": self.end_of_text,
            "digest": self.digest,
        }

    def encode(self, texts: Sequence[str]) -> Iterator[np.ndarray]:
        """uint32 tokens of each text, without the end of text."""
        return map(tokens_of, self.encodings(texts))

    def encodings(self, texts: Sequence[str]) -> list[tokenizers.Encoding]:
        """The library's answer for each text, for `tokens_of`. Runs without Python's lock."""
        return self.inner.encode_batch_fast(list(texts), add_special_tokens=False)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens, each end of text left out. Bytes that are no UTF-8 (a cut character) read as U+FFFD."""
        return self.inner.decode([token for token in tokens if token != self.end_of_text], skip_special_tokens=False)


def tokens_of(encoding: tokenizers.Encoding) -> np.ndarray:
    """uint32 tokens of one text."""
    return np.frombuffer(array("I", encoding.ids), dtype=np.uint32)  # twice as fast as from the list


def train(spec: TokenizerSpec, texts: Iterable[str], where: str) -> TextTokenizer:
    """A tokeniser of the size that `spec` asks for. Raises MixError where the texts do not give so many merges."""
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=spec.vocabulary_size - 1,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    inner.train_from_iterator(texts, trainer)
    learnt = inner.get_vocab_size() + 1
    if learnt != spec.vocabulary_size:
        finding = Finding(
            f"the texts give a vocabulary of {learnt:,} tokens, {spec.vocabulary_size:,} are asked for",
            where,
            f"a vocabulary_size from {BYTES + 1} to {learnt:,}, or more text to train on",
            f"write tokenizer.vocabulary_size: {learnt}, or name more sources in tokenizer.trained_on",
        )
        raise MixError(finding)
    return TextTokenizer(inner, spec.vocabulary_size)


def save(tokenizer: TextTokenizer, path: Path) -> None:
    """The library's own JSON."""
    path.write_text(tokenizer.inner.to_str(pretty=False), encoding="utf-8")


def open_tokenizer(path: Path, described: dict[str, Any]) -> TextTokenizer:
    """The tokeniser in the file at `path`, if it is the one that `described` (its entry in a manifest) names. Raises MixError."""
    try:
        text = path.read_text(encoding="utf-8")
        digest = _digest(text, described["vocabulary_size"])
    except (OSError, ValueError) as error:
        finding = Finding(f"cannot be read: {error}", str(path), "a tokeniser", "build the training set again")
        raise MixError(finding) from None
    if digest != described["digest"]:
        expected = f"digest {described['digest'][:12]}: the tokeniser that the tokens are from"
        finding = Finding(f"has the digest {digest[:12]}", str(path), expected, "build the training set again")
        raise MixError(finding)
    return TextTokenizer(tokenizers.Tokenizer.from_str(text), described["vocabulary_size"])


def _digest(text: str, vocabulary_size: int) -> str:
    document = json.loads(text)
    return digest_json([{name: value for name, value in document.items() if name != "version"}, vocabulary_size])
