"""The loss of every held-out document by itself: the document is what is independent, so everything else is summed from these.

A document begins after an end of text and is closed by one; both are as in training. It is read in stretches of the model's length,
each with the last token of the one before as its first input, so that every token is predicted once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from mtac_assets.data.mix.folder import TokenFolder
from mtac_assets.training.text_model import TextModel
from mtac_assets.training.tokens import TokenSchema

ROWS = 16


@dataclass(frozen=True, eq=False)
class DocumentLosses:
    """By document: nats float64 [D], predicted tokens int64 [D], bytes of text int64 [D]."""

    nats: np.ndarray
    tokens: np.ndarray
    bytes: np.ndarray

    def __len__(self) -> int:
        return len(self.nats)

    @classmethod
    def together(cls, parts: list[DocumentLosses]) -> DocumentLosses:
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("nats", "tokens", "bytes")))


def document_losses(model: TextModel, folder: TokenFolder, source: str, part: str = "test") -> DocumentLosses:
    """Every document of a source's part, in order."""
    tokens, offsets = folder.array(part, source, "tokens"), folder.array(part, source, "documents")
    return losses_of(model, tokens, offsets, folder.array(part, source, "bytes"))


def losses_of(model: TextModel, tokens: np.ndarray, offsets: np.ndarray, sizes: np.ndarray) -> DocumentLosses:
    """Documents one behind the other in `tokens`, each closed by the end of text; `offsets` [D + 1], `sizes` (bytes) [D]."""
    nats = np.zeros(len(offsets) - 1)
    for owner_R, row_RT1, length_R in _batches(tokens, offsets, model.schema):
        losses_RT = model.losses(torch.from_numpy(row_RT1)).double().numpy()
        for owner, losses, length in zip(owner_R, losses_RT, length_R, strict=True):
            nats[owner] += losses[:length].sum()
    return DocumentLosses(nats, np.diff(offsets), np.asarray(sizes))


def _batches(
    tokens: np.ndarray, offsets: np.ndarray, schema: TokenSchema
) -> Iterator[tuple[list[int], np.ndarray, list[int]]]:
    """Stretches of documents, filled up with ends of text to one shape: their documents, tokens [R, T + 1], and lengths."""
    owners: list[int] = []
    rows: list[np.ndarray] = []
    lengths: list[int] = []
    for owner in range(len(offsets) - 1):
        document = np.concatenate([[schema.end_of_text], tokens[offsets[owner] : offsets[owner + 1]]])
        for start in range(0, len(document) - 1, schema.sequence_length):
            stretch = document[start : start + schema.sequence_length + 1]
            row = np.full(schema.sequence_length + 1, schema.end_of_text, dtype=np.int64)
            row[: len(stretch)] = stretch
            owners.append(owner)
            rows.append(row)
            lengths.append(len(stretch) - 1)
            if len(rows) == ROWS:
                yield owners, np.stack(rows), lengths
                owners, rows, lengths = [], [], []
    if rows:
        yield owners, np.stack(rows), lengths


def unigram_losses(folder: TokenFolder, found: dict[str, DocumentLosses], vocabulary: int) -> dict[str, DocumentLosses]:
    """The plainest baseline: each token's share of all training tokens, whatever came before it (counts begin at one)."""
    counts = np.ones(vocabulary)
    for source in found:
        counts += np.bincount(folder.array("train", source, "tokens"), minlength=vocabulary)
    nats_V = -np.log(counts / counts.sum())
    baseline = {}
    for source, model in found.items():
        tokens, offsets = folder.array("test", source, "tokens"), folder.array("test", source, "documents")
        nats = np.add.reduceat(nats_V[tokens], offsets[:-1]) if len(model) else np.zeros(0)
        baseline[source] = DocumentLosses(nats, model.tokens, model.bytes)
    return baseline


def bits_per_byte(nats: np.ndarray | float, size: np.ndarray | float) -> np.ndarray | float:
    """Comparable between tokenisers, as nats a token are not."""
    return nats / math.log(2) / size
