"""The bytes of one file as a typed table, by format."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from mtac_assets.data.contract.columns import Columns
from mtac_assets.data.readers.delimited import read_csv
from mtac_assets.data.readers.local import SourceError
from mtac_assets.data.readers.rows import TypedTable
from mtac_assets.data.readers.typed import column_findings, conform
from mtac_assets.spec.errors import Finding


def read_bytes(data: bytes, form: str, columns: Columns, where: str) -> TypedTable:
    """Rows of a CSV or Parquet file. SourceError names `where` and what is wrong with it."""
    if not data:
        raise SourceError(Finding("the file is empty", where, f"a {form} file with rows", "deliver the file again"))
    return read_csv(data, columns, where) if form == "csv" else _read_parquet(data, columns, where)


def schema_of(columns: Columns) -> pa.Schema:
    return pa.schema(list(columns.types.items()))


def _read_parquet(data: bytes, columns: Columns, where: str) -> TypedTable:
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        present = file.schema_arrow.names
        found = column_findings(present, columns, where)
        if found:
            raise SourceError(*found)
        table = file.read(columns=columns.names)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(
            Finding(f"not readable as Parquet: {str(error).splitlines()[0]}", where, "a whole Parquet file",
                    "deliver the file again: it was cut short or damaged")
        ) from None  # fmt: skip
    return conform(table, columns, where)
