"""From texts to tokens in files: each document's tokens and the end of text, one after the other, source by source.

Texts are encoded in batches of about a megabyte while the batch before is written, so memory holds two batches, however many
documents there are; what grows is 16 bytes a document.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from tokenizers import Encoding

from mtac_assets.data.mix.documents import LEFT_OUT
from mtac_assets.data.mix.folder import PARTS, array_name, token_type
from mtac_assets.data.mix.tokenizer import TextTokenizer, tokens_of

BATCH_BYTES = 1 << 20


@dataclass(frozen=True)
class Packed:
    """What was written of one part of a source. `digest` is over type and tokens."""

    tokens: int
    documents: int
    bytes: int
    digest: str

    def document(self) -> dict[str, object]:
        return {"tokens": self.tokens, "documents": self.documents, "bytes": self.bytes, "digest": self.digest}


class _Writer:
    """One part of a source: a one-dimensional array whose length is known at the end."""

    def __init__(self, folder: Path, part: str, source: str, kind: np.dtype) -> None:
        self._folder, self._part, self._source, self._kind = folder, part, source, kind
        self._file: IO[bytes] = (folder / array_name(part, source, "tokens")).open("wb")
        self._header(0)
        self._begins = self._file.tell()
        self._hash = hashlib.sha256(kind.str.encode() + b"\n")
        self._tokens = 0
        self._offsets: list[int] = [0]
        self._bytes: list[int] = []

    def append(self, tokens: np.ndarray, size: int, end_of_text: int) -> None:
        stored = np.empty(len(tokens) + 1, dtype=self._kind)
        stored[:-1] = tokens
        stored[-1] = end_of_text
        self._file.write(stored.data)
        self._hash.update(stored.data)
        self._tokens += len(stored)
        self._offsets.append(self._tokens)
        self._bytes.append(size)

    def finish(self) -> Packed:
        self._file.seek(0)
        self._header(self._tokens)
        assert self._file.tell() == self._begins, "numpy leaves room for a longer shape in the header"
        self._file.close()
        for what, values in (("documents", self._offsets), ("bytes", self._bytes)):
            np.save(self._folder / array_name(self._part, self._source, what), np.array(values, dtype="<i8"))
        return Packed(self._tokens, len(self._bytes), sum(self._bytes), self._hash.hexdigest())

    def close(self) -> None:
        self._file.close()

    def _header(self, count: int) -> None:
        shape = {"descr": self._kind.str, "fortran_order": False, "shape": (count,)}
        np.lib.format.write_array_header_1_0(self._file, shape)


def pack(
    folder: Path, source: str, batches: Iterable[list[tuple[str, str]]], part: np.ndarray, tokenizer: TextTokenizer
) -> dict[str, Packed]:
    """Write the arrays of all parts of a source into `folder`; `part` int8 says of each document which it belongs to."""
    kind = token_type(tokenizer.vocabulary_size)
    writers = [_Writer(folder, name, source, kind) for name in PARTS]
    try:
        for (texts, belongs), encoded in _encoded(_grouped(batches, part), tokenizer):
            for text, number, encoding in zip(texts, belongs, encoded, strict=True):
                writers[number].append(tokens_of(encoding), len(text.encode()), tokenizer.end_of_text)
        return {name: writer.finish() for name, writer in zip(PARTS, writers, strict=True)}
    finally:
        for writer in writers:
            writer.close()


Group = tuple[list[str], list[int]]


def _grouped(batches: Iterable[list[tuple[str, str]]], part: np.ndarray) -> Iterator[Group]:
    """Texts that are in some part, with the part of each, about a megabyte at a time."""
    texts: list[str] = []
    belongs: list[int] = []
    size = place = 0
    for batch in batches:
        for _, text in batch:
            number = int(part[place])
            place += 1
            if number == LEFT_OUT:
                continue
            texts.append(text)
            belongs.append(number)
            size += len(text)
            if size >= BATCH_BYTES:
                yield texts, belongs
                texts, belongs, size = [], [], 0
    assert place == len(part), f"{place} documents read, {len(part)} scored"
    if texts:
        yield texts, belongs


def _encoded(groups: Iterator[Group], tokenizer: TextTokenizer) -> Iterator[tuple[Group, list[Encoding]]]:
    """Each group with its encodings; the next one is encoded while these are made into arrays and written."""
    with ThreadPoolExecutor(1) as pool:
        waiting: tuple[Group, Future[list[Encoding]]] | None = None
        for group in groups:
            following = (group, pool.submit(tokenizer.encodings, group[0]))
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = following
        if waiting is not None:
            yield waiting[0], waiting[1].result()
