"""The scores of a dataset's texts as a stored table, under the key of the scorer's code and the texts' content.

    scores/<dataset>/all.parquet   a row a text, in the partition's order: document, digest, the scores, signature
    scores/<dataset>/all.json      key, rows, digest of the file

The signatures of a dataset are held in memory while it is scored: 256 bytes a text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mtac_assets.data.mix.documents import ALL, read_documents, text_digest
from mtac_assets.data.mix.minhash import PLACES, earlier_duplicates
from mtac_assets.data.mix.scores import score
from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.files import AtomicBatch, json_bytes
from mtac_assets.spec.language import SCORES

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

SCHEMA_VERSION = 1
_TYPES = {
    "document": pa.string(),
    "digest": pa.binary(32),
    "length": pa.int64(),
    "repetition": pa.float64(),
    "compression": pa.float64(),
    "english": pa.float64(),
    "signature": pa.binary(4 * PLACES),
    "near_duplicates": pa.int32(),
}
assert set(SCORES) < set(_TYPES), "every score of the language is a column"


@dataclass(frozen=True)
class ScoreTable:
    """A stored table. Columns are read one at a time, so memory holds what is asked for."""

    path: Path
    rows: int
    digest: str

    def column(self, name: str) -> np.ndarray:
        """[rows] of one score."""
        return self._read(name).to_numpy()

    def digests(self) -> list[bytes]:
        """SHA-256 of each text."""
        return self._read("digest").to_pylist()

    def names(self) -> Iterator[str]:
        """The documents, in order."""
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(columns=["document"]):
                yield from batch.column(0).to_pylist()

    def signatures(self) -> np.ndarray:
        """uint32 [rows, 64]."""
        column = self._read("signature").combine_chunks()
        joined = b"".join(column.to_pylist())
        return np.frombuffer(joined, dtype="<u4").reshape(-1, PLACES)

    def _read(self, name: str) -> pa.ChunkedArray:
        with pq.ParquetFile(self.path) as file:
            return file.read(columns=[name]).column(0)


def table_path(project: Project, dataset: str) -> Path:
    return project.state.scores / dataset / f"{ALL}.parquet"


def find(project: Project, dataset: str, key: str) -> ScoreTable | None:
    """The table with this key, if it is there and intact."""
    path = table_path(project, dataset)
    document = read_object(path.with_suffix(".json"))
    if document is None or document.get("schema_version") != SCHEMA_VERSION or document.get("key") != key:
        return None
    if not path.is_file() or path.stat().st_size != document["file_size"]:
        return None
    if sha256_file(path) != document["file_sha256"]:
        return None
    return ScoreTable(path, document["rows"], document["file_sha256"])


def ensure(project: Project, dataset: str, key: str, data_dir: Path) -> ScoreTable:
    """The table of a dataset, scored now where it was not. Raises MixError or PartitionError where there are no texts."""
    found = find(project, dataset, key)
    if found is not None:
        return found
    path = table_path(project, dataset)
    columns: dict[str, list[object]] = {name: [] for name in _TYPES if name != "near_duplicates"}
    for batch in read_documents(data_dir, dataset):
        for name, text in batch:
            scores = score(text)
            row = (name, text_digest(text), *scores[:-1], scores.signature.astype("<u4").tobytes())
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    signatures = np.frombuffer(b"".join(columns["signature"]), dtype="<u4").reshape(-1, PLACES)  # pyright: ignore
    arrays = {name: pa.array(values, _TYPES[name]) for name, values in columns.items()}
    arrays["near_duplicates"] = pa.array(earlier_duplicates(signatures), pa.int32())
    table = pa.table(arrays)
    with AtomicBatch() as batch:
        written = batch.path(path)
        pq.write_table(table, written, compression="zstd", use_dictionary=False, store_schema=False)
        document = {
            "schema_version": SCHEMA_VERSION,
            "dataset": dataset,
            "key": key,
            "rows": table.num_rows,
            "file_sha256": sha256_file(written),
            "file_size": written.stat().st_size,
        }
        batch.add(path.with_suffix(".json"), json_bytes(document))
    return ScoreTable(path, table.num_rows, document["file_sha256"])
