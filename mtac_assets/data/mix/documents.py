"""The texts of a dataset, read from its partition a few at a time, and what a text is known by.

Does not belong here: how texts become a partition (`readers.documents`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from mtac_assets.data.mix.errors import MixError
from mtac_assets.data.partitions import partition_path, read_manifest, verify
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.language import DocumentSplit

ALL = "all"
COLUMNS = ("document", "text")
BATCH = 256
TRAIN, VALIDATE, TEST, LEFT_OUT = range(4)


def read_documents(data_dir: Path, dataset: str) -> Iterator[list[tuple[str, str]]]:
    """(document, text) of a dataset, a few hundred at a time, in the partition's order; its bytes are verified first.

    Raises PartitionError where it is missing or damaged, MixError where it holds no texts.
    """
    manifest = read_manifest(data_dir, dataset, ALL)
    known = dict(manifest.columns)
    if any(known.get(name) != "string" for name in COLUMNS):
        listed = ", ".join(f"{name}: {kind}" for name, kind in manifest.columns)
        finding = Finding(
            f"`{dataset}` has the columns {listed}",
            f"{dataset}/{ALL}",
            "texts: columns `document` and `text`, both strings",
            "name a dataset of texts in mix.sources",
        )
        raise MixError(finding)
    verify(data_dir, manifest)
    with pq.ParquetFile(partition_path(data_dir, dataset, ALL), memory_map=True) as file:
        for batch in file.iter_batches(batch_size=BATCH, columns=list(COLUMNS), use_threads=False):
            yield list(zip(*(batch.column(name).to_pylist() for name in COLUMNS), strict=True))


def text_digest(text: str) -> bytes:
    """32 bytes: SHA-256 of the text in UTF-8."""
    return hashlib.sha256(text.encode()).digest()


def parts(digests: Sequence[bytes], split: DocumentSplit) -> np.ndarray:
    """int8 [N]: TRAIN, VALIDATE or TEST by a text's digest and the seed alone, so equal texts are never on two sides."""
    salt = b"mtac.split.1|%d|" % split.seed
    drawn = [int.from_bytes(hashlib.sha256(salt + digest).digest()[:8], "big") >> 11 for digest in digests]
    share = np.array(drawn, dtype=np.float64) * 2.0**-53
    held_out = split.test_share + split.validate_share
    return np.where(share < split.test_share, TEST, np.where(share < held_out, VALIDATE, TRAIN)).astype(np.int8)
