"""A training set of tokens as files: what is called how, the manifest, and arrays opened without being read.

    manifest.json                      what the folder holds (see `docs/language.md`)
    tokenizer.json                     the tokeniser
    <part>.<source>.tokens.npy         uint16 or uint32 [tokens]: documents, each closed by the end of text
    <part>.<source>.documents.npy      int64 [documents + 1]: where each document begins in the tokens; the last is the end
    <part>.<source>.bytes.npy          int64 [documents]: bytes of each document's text, for bits per byte

Parts are train, validate and test. A row of a training source is `sequence_length` + 1 tokens; the rows begin `sequence_length`
apart, so the last token of one is the first of the next, and every token but the first of a source is predicted once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtac_assets.provenance.files import read_json
from mtac_assets.spec.errors import Finding, MtacError

SCHEMA_VERSION = 1
KIND = "tokens"
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
PARTS = ("train", "validate", "test")


class TokensError(MtacError):
    """A training set of tokens that is not what its manifest says."""


def array_name(part: str, source: str, what: str) -> str:
    """File of `what` (tokens, documents, bytes) of a source's part."""
    return f"{part}.{source}.{what}.npy"


def rows_in(tokens: int, sequence_length: int) -> int:
    """Rows of so many tokens."""
    return max(0, (tokens - 1) // sequence_length)


def token_type(vocabulary_size: int) -> np.dtype:
    """The narrowest type that holds every token."""
    return np.dtype("<u2" if vocabulary_size <= 1 << 16 else "<u4")


@dataclass(frozen=True)
class TokenFolder:
    """An opened folder. Sources are in the order of their names."""

    folder: Path
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> TokenFolder:
        """Raises TokensError for a folder of another kind or version."""
        manifest = read_json(folder / MANIFEST)
        found = (manifest.get("kind"), manifest.get("schema_version"))
        if found != (KIND, SCHEMA_VERSION):
            finding = Finding(
                f"holds {found[0]!r}, version {found[1]!r}",
                str(folder / MANIFEST),
                f"a training set of kind {KIND}, version {SCHEMA_VERSION}",
                "build the training set again",
            )
            raise TokensError(finding)
        return cls(folder, manifest)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(entry["name"] for entry in self.manifest["sources"])

    @property
    def sequence_length(self) -> int:
        return self.manifest["sequence_length"]

    @property
    def steps(self) -> int:
        return self.manifest["steps"]

    @property
    def batch_size(self) -> int:
        return self.manifest["batch_size"]

    def array(self, part: str, source: str, what: str) -> np.ndarray:
        """Memory-mapped, read-only. Raises TokensError where it is missing or not an array."""
        path = self.folder / array_name(part, source, what)
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            finding = Finding(
                f"cannot be opened: {error}", str(path), "an array of the training set", "build the training set again"
            )
            raise TokensError(finding) from None
