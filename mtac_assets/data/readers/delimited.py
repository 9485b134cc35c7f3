"""CSV, read straight into the contract's types.

An unquoted empty field and an unquoted NA are null, and nothing else is; in quotes they are text. Numbers are read in their
declared width. The fast way reads typed; only where a value does not fit is the file read again as text, to name the rows.
"""

from __future__ import annotations

import csv
import io

import pyarrow as pa
import pyarrow.csv as pacsv

from mtac_assets.data.contract.columns import Columns
from mtac_assets.data.readers.local import SourceError
from mtac_assets.data.readers.rows import TypedTable
from mtac_assets.data.readers.typed import column_findings, parse_text
from mtac_assets.spec.errors import Finding

NULL_SPELLINGS = ["", "NA"]
_REMEDY = "look at that line; a file cut short must be delivered again"


def read_csv(data: bytes, columns: Columns, where: str) -> TypedTable:
    """Rows of a CSV file with a header line. SourceError where it is no such file or lacks a declared column."""
    present = _header(data, where)
    found = column_findings(present, columns, where)
    if found:
        raise SourceError(*found)
    try:
        return TypedTable(_read(data, dict(columns.types), columns.names))
    except pa.ArrowInvalid:
        pass
    try:
        raw = _read(data, dict.fromkeys(present, pa.string()), columns.names)
    except pa.ArrowInvalid as error:
        raise SourceError(
            Finding(f"not readable as CSV: {_first_line(error)}", where, "a whole CSV file", _REMEDY)
        ) from None
    arrays, faults = [], []
    for name, wanted in columns.types.items():
        array, fault = parse_text(name, raw[name], wanted)
        arrays.append(array)
        faults += fault
    return TypedTable(pa.table(arrays, names=columns.names), tuple(faults))


def _read(data: bytes, types: dict[str, pa.DataType], names: list[str]) -> pa.Table:
    options = pacsv.ConvertOptions(
        column_types=types,
        include_columns=names,
        null_values=NULL_SPELLINGS,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return pacsv.read_csv(pa.BufferReader(data), convert_options=options).unify_dictionaries()


def _header(data: bytes, where: str) -> list[str]:
    line = data[: data.find(b"\n")] if b"\n" in data else data
    try:
        names = next(csv.reader(io.StringIO(line.decode("utf-8-sig"))), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            Finding(f"not readable as CSV: {error}", where, "UTF-8 text with a header line", _REMEDY)
        ) from None
    if not any(names):
        raise SourceError(Finding("the file is empty", where, "a header line and rows", "deliver the file again"))
    return names


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
