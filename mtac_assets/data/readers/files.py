"""A folder of CSV or Parquet files on any file system that fsspec knows, the day in each file's name.

Credentials come from the file system's own environment variables; addresses are recorded without any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from mtac_assets.data.contract.columns import Columns
from mtac_assets.data.readers.blocks import DAYS_PER_BLOCK, one_day, ordered_blocks
from mtac_assets.data.readers.local import Source, SourceError, file_name
from mtac_assets.data.readers.rows import Block, TypedTable, join_faults, refuse_all
from mtac_assets.data.readers.state import file_sources
from mtac_assets.data.readers.tables import read_bytes, schema_of
from mtac_assets.data.readers.uri import public_uri, resolve, scrub
from mtac_assets.spec.dataset import Dataset, FilesSource
from mtac_assets.spec.errors import Finding

_PLACEHOLDER = re.compile(r"\{date(?::([^{}]+))?\}")


def blocks(dataset: Dataset, spec: FilesSource, keys: Sequence[str], columns: Columns, root: Path) -> Iterator[Block]:
    """Rows of `keys`, about a hundred files at a time; a file at fault refuses its own day alone."""
    there = file_sources(spec, keys, root)
    for start in range(0, len(keys), DAYS_PER_BLOCK):
        yield from _some(dataset, spec, keys[start : start + DAYS_PER_BLOCK], columns, root, there)


def _some(
    dataset: Dataset, spec: FilesSource, keys: Sequence[str], columns: Columns, root: Path, there: Mapping[str, Source]
) -> Iterator[Block]:
    parts: list[TypedTable] = []
    good: list[str] = []
    for key in keys:
        where = there[key].uri if key in there else f"{public_uri(spec.url).rstrip('/')}/{file_name(spec.pattern, key)}"
        try:
            if key not in there:
                raise SourceError(
                    Finding("the file does not exist", where, f"the file of {key}", "deliver it, or leave the day out")
                )
            typed = read_bytes(_content(spec, key, root, where), spec.format, columns, where)
            one_day(dataset, typed, key, where)
        except SourceError as error:
            yield refuse_all([key], error.findings, schema_of(columns), there)
            continue
        parts.append(typed)
        good.append(key)
    if parts:
        counts = [part.table.num_rows for part in parts]
        table = pa.concat_tables([part.table for part in parts]).unify_dictionaries()
        partition = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
        line = np.concatenate([np.arange(count) for count in counts])
        yield from ordered_blocks(dataset, TypedTable(table, join_faults(parts)), partition, line, good, there)


def _content(spec: FilesSource, key: str, root: Path, where: str) -> bytes:
    import fsspec

    url = f"{resolve(spec.url, root).rstrip('/')}/{file_name(spec.pattern, key)}"
    try:
        with fsspec.open(url, "rb", compression="infer") as stream:
            return stream.read()  # pyright: ignore[reportAttributeAccessIssue]
    except (OSError, EOFError, ValueError) as error:
        raise SourceError(
            Finding(
                f"cannot be read: {scrub(str(error), url)}",
                where,
                "a readable file",
                "see its permissions, or deliver it again",
            )
        ) from None
