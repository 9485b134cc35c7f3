"""From the columns that a source has to those that the contract declares, without changing a value.

A column of another kind is refused; a value that does not fit the declared width becomes a fault of its row. Integers may
change their width, float32 may become float64, moments their unit and zone, text may or may not be a dictionary: nothing else
converts. Text is parsed only where the source has nothing but text (`parse_text`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mtac_assets.data.contract.columns import Columns, describe
from mtac_assets.data.readers.local import SourceError
from mtac_assets.data.readers.rows import Fault, TypedTable
from mtac_assets.spec.errors import Finding


def column_findings(present: Sequence[str], columns: Columns, where: str) -> list[Finding]:
    """Columns that are missing, twice there, or not declared."""
    found = []
    missing = [name for name in columns.names if name not in present]
    extra = [name for name in present if name not in columns.types]
    twice = sorted({name for name in present if present.count(name) > 1})
    if missing:
        also = f" (there is {', '.join(map(repr, extra))}, which is not declared)" if extra else ""
        found.append(
            Finding(f"column {', '.join(map(repr, missing))} is missing{also}", where, "every column that the contract declares",
                    "restore the column, or change contract.py")
        )  # fmt: skip
    elif extra and not columns.leave_out_extra:
        found.append(
            Finding(f"column {', '.join(map(repr, extra))} is not declared", where, "only columns that the contract declares",
                    'declare it in contract.py, or leave others out with strict="filter"')
        )  # fmt: skip
    if twice:
        found.append(
            Finding(
                f"column {', '.join(map(repr, twice))} is there twice", where, "each name once", "rename or drop one"
            )
        )
    return found


def conform(table: pa.Table, columns: Columns, where: str, *, text_is_raw: bool = False) -> TypedTable:
    """`table` in contract order and type. SourceError names every column that is missing or of another kind.

    `text_is_raw`: a text column may stand for any type, because its source has no better (SQLite and moments).
    """
    found = column_findings(table.column_names, columns, where)
    if found:
        raise SourceError(*found)
    arrays, faults = [], []
    for name, wanted in columns.types.items():
        column = table[name]
        if column.type == wanted or pa.types.is_null(column.type):
            arrays.append(column if column.type == wanted else column.cast(wanted))
        elif _fits(column.type, wanted):
            array, fault = _cast(name, column, wanted)
            arrays.append(array)
            faults += fault
        elif text_is_raw and _is_text(column.type):
            array, fault = parse_text(name, column, wanted)
            arrays.append(array)
            faults += fault
        else:
            found.append(
                Finding(f"column {name!r} is {describe(column.type)}", where, f"{describe(wanted)}, as the contract declares",
                        "restore the type, or change contract.py")
            )  # fmt: skip
    if found:
        raise SourceError(*found)
    return TypedTable(pa.table(arrays, names=columns.names), tuple(faults))


def parse_text(name: str, column: pa.ChunkedArray, wanted: pa.DataType) -> tuple[pa.ChunkedArray, list[Fault]]:
    """Text parsed as `wanted`; what cannot be is null and a fault of its row."""
    if pa.types.is_dictionary(wanted):
        return column.cast(pa.string()).dictionary_encode().cast(wanted), []
    if pa.types.is_string(wanted):
        return column.cast(pa.string()), []
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))  # pyright: ignore[reportAttributeAccessIssue]
    bad = _unparseable(text.unique().drop_null(), wanted)
    if not bad:
        return text.cast(wanted), []
    rows = pc.fill_null(pc.is_in(text, pa.array(bad)), False)  # pyright: ignore[reportAttributeAccessIssue]
    parsed = pc.if_else(rows, pa.scalar(None, pa.string()), text).cast(wanted)  # pyright: ignore[reportAttributeAccessIssue]
    return parsed, [_fault(name, rows, column, wanted)]


def _unparseable(values: pa.Array, wanted: pa.DataType) -> list[str]:
    try:
        values.cast(wanted)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return [values[0].as_py()]
        half = len(values) // 2
        return _unparseable(values[:half], wanted) + _unparseable(values[half:], wanted)
    return []


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_category(kind: pa.DataType) -> bool:
    return pa.types.is_dictionary(kind) and _is_text(kind.value_type)


def _fits(kind: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_integer(wanted):
        return pa.types.is_integer(kind)
    if pa.types.is_floating(wanted):
        return pa.types.is_floating(kind) and kind.bit_width <= wanted.bit_width
    if pa.types.is_timestamp(wanted):
        return pa.types.is_timestamp(kind) and (kind.tz is None) == (wanted.tz is None)
    return (_is_text(wanted) or _is_category(wanted)) and (_is_text(kind) or _is_category(kind))


def _cast(name: str, column: pa.ChunkedArray, wanted: pa.DataType) -> tuple[pa.ChunkedArray, list[Fault]]:
    if _is_category(wanted):
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        return encoded.cast(wanted), []
    try:
        return column.cast(wanted), []
    except pa.ArrowInvalid:
        # Too wide a number or too fine a moment: cast what survives the way there and back, and fault the rest.
        back = column.cast(wanted, safe=False).cast(column.type, safe=False)
        rows = pc.fill_null(pc.not_equal(back, column), False)  # pyright: ignore[reportAttributeAccessIssue]
        kept = pc.if_else(rows, pa.scalar(None, column.type), column)  # pyright: ignore[reportAttributeAccessIssue]
        return kept.cast(wanted), [_fault(name, rows, column, wanted)]


def _fault(name: str, rows: pa.ChunkedArray, column: pa.ChunkedArray, wanted: pa.DataType) -> Fault:
    kind = describe(wanted)
    mask = np.asarray(rows.to_numpy(), dtype=bool)
    return Fault(f"{name}: {kind}", mask, lambda i: f"{name}: {column[i].as_py()!r} is no {kind}")
