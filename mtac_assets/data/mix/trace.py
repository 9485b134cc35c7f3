"""From a step to the very sequences it learnt from, and from a document to the steps that saw it. Nothing is kept for either:
both are computed from the recipe's seed and the training set, in memory that does not grow with the training.

Belongs here: the arithmetic over one training set. Which training set a model is from is `traced_model`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.parquet as pq

from mtac_assets.data.mix.build import INDEX
from mtac_assets.data.mix.folder import TOKENIZER, TokenFolder
from mtac_assets.data.mix.stream import open_schedule, open_stream
from mtac_assets.data.mix.tokenizer import open_tokenizer


@dataclass(frozen=True)
class Sample:
    """One sequence of a step, and the documents that it is cut from (by their place in the part to train on)."""

    place: int
    source: str
    epoch: int
    row: int
    documents: tuple[str, ...]
    text: str


def samples(folder: Path, seed: int, step: int) -> Iterator[Sample]:
    """The sequences of a step, in the order of the batch. Raises ValueError for a step that the training does not have."""
    opened = TokenFolder.open(folder)
    if not 0 <= step < opened.steps:
        raise ValueError(f"step {step}: the training has the steps 0 to {opened.steps - 1}")
    stream = open_stream(folder, seed)
    tokenizer = open_tokenizer(folder / TOKENIZER, opened.manifest["tokenizer"])
    first = step * opened.batch_size
    tokens, _ = stream.rows(first, opened.batch_size)
    found = [stream.identify(first + offset) for offset in range(opened.batch_size)]
    spans = [_documents_of(opened, source, row) for source, _, row in found]
    names = _names(opened, {(one.source, place) for one, span in zip(found, spans, strict=True) for place in span})
    for offset, (one, span) in enumerate(zip(found, spans, strict=True)):
        documents = tuple(names[one.source, place] for place in span)
        text = tokenizer.decode(tokens[offset].tolist())
        yield Sample(first + offset, one.source, one.epoch, one.row, documents, text)


def _documents_of(opened: TokenFolder, source: str, row: int) -> range:
    """Places of the documents that a row has tokens of."""
    begins = opened.array("train", source, "documents")
    length = opened.sequence_length
    first, last = np.searchsorted(begins, [row * length, (row + 1) * length], "right") - 1
    return range(int(first), int(last) + 1)


def _names(opened: TokenFolder, wanted: set[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Names of training documents by source and place, from one pass over the index."""
    found: dict[tuple[str, int], str] = {}
    for source in {source for source, _ in wanted}:
        for row in _index(opened.folder, source):
            if row["part"] == "train" and (source, row["place"]) in wanted:
                found[source, row["place"]] = row["document"]
    return found


@dataclass(frozen=True)
class Use:
    """What became of a document in one training. `rows`: the sequences that hold tokens of it; `tokenizer`: whether the
    tokeniser learnt from it."""

    source: str
    part: Literal["train", "validate", "test", "left out"]
    rows: range
    tokenizer: bool


def find(folder: Path, source: str, document: str, trained_on: tuple[str, ...]) -> Use | None:
    """What became of `document`; None where the source does not hold it. `trained_on`: the tokeniser's sources."""
    opened = TokenFolder.open(folder)
    entry = next((row for row in _index(folder, source) if row["document"] == document), None)
    if entry is None:
        return None
    part, place, rows = entry["part"], entry["place"], range(0)
    if part == "train":
        begins, length = opened.array("train", source, "documents"), opened.sequence_length
        first, end = int(begins[place]), int(begins[place + 1])
        held = next(one["rows"] for one in opened.manifest["sources"] if one["name"] == source)
        rows = range(max(0, -(-(first - length) // length)), min(held, (end - 1) // length + 1))
    return Use(source, part, rows, part == "train" and source in trained_on)


def steps_with(folder: Path, seed: int, use: Use) -> Iterator[int]:
    """The steps that saw a document, each once, in order."""
    opened = TokenFolder.open(folder)
    schedule = open_schedule(folder, seed)
    end = opened.steps * opened.batch_size
    before = -1
    for place in heapq.merge(*(schedule.places(use.source, row, end) for row in use.rows)):
        step = place // opened.batch_size
        if step != before:
            yield step
            before = step


def _index(folder: Path, source: str) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(folder / INDEX.format(source=source)) as file:
        for batch in file.iter_batches(batch_size=16_384):
            yield from batch.to_pylist()
