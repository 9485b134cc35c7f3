"""What a language model sees: tokens of one vocabulary in rows of one length. The training set's manifest says which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtac_assets.data.mix.folder import KIND


@dataclass(frozen=True)
class TokenSchema:
    """`tokenizer` is what the manifest says of it, its digest among it: a model goes with one tokeniser only."""

    vocabulary_size: int
    sequence_length: int
    end_of_text: int
    tokenizer: Mapping[str, Any]

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> TokenSchema:
        """From a training set's manifest, or from `document()`."""
        return cls(
            manifest["vocabulary_size"], manifest["sequence_length"], manifest["end_of_text"], manifest["tokenizer"]
        )

    def document(self) -> dict[str, Any]:
        """Plain JSON values, as packs carry them."""
        return {
            "kind": KIND,
            "vocabulary_size": self.vocabulary_size,
            "sequence_length": self.sequence_length,
            "end_of_text": self.end_of_text,
            "tokenizer": dict(self.tokenizer),
        }
