"""Names and types of a contract's columns, as Arrow knows them, and back as pandas shows them to the contract's checks.

Storage types follow the declaration and nothing else: what the source calls a column's type is compared with it, never
adopted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

CATEGORY = pa.dictionary(pa.int32(), pa.string())
_NUMBERS = re.compile(r"^(u?int(8|16|32|64)|float(32|64))$", re.IGNORECASE)
_TIMESTAMP = re.compile(r"^datetime64\[(s|ms|us|ns)(?:, (\w+))?\]$")
_WORDS = {
    "category": CATEGORY,
    "str": pa.string(),
    "string": pa.string(),
    "string[python]": pa.string(),
    "string[pyarrow]": pa.string(),
    "bool": pa.bool_(),
    "boolean": pa.bool_(),
}


@dataclass(frozen=True)
class Columns:
    """The columns of a dataset in contract order. `extra`: what becomes of others that the source has."""

    types: Mapping[str, pa.DataType]
    leave_out_extra: bool = False

    @property
    def names(self) -> list[str]:
        return list(self.types)


def arrow_type(declared: str) -> pa.DataType | None:
    """The Arrow type of a dtype as pandera prints it; None for one that a contract cannot declare."""
    if declared in _WORDS:
        return _WORDS[declared]
    if _NUMBERS.match(declared):
        return pa.type_for_alias(declared.lower())
    if found := _TIMESTAMP.match(declared):
        unit, zone = found.groups()
        return pa.timestamp(unit, tz=zone) if zone in (None, "UTC") else None
    return None


def describe(kind: pa.DataType) -> str:
    """A type in the words of the contract."""
    return "category" if pa.types.is_dictionary(kind) else str(kind)


def to_pandas(table: pa.Table, declared: Mapping[str, str]) -> pd.DataFrame:
    """The frame that a contract's checks see: declared dtypes; a forbidden null makes a plain integer column a masked one."""
    return pd.DataFrame({name: _series(table[name], declared[name]) for name in table.column_names}, copy=False)


def _series(column: pa.ChunkedArray, declared: str) -> pd.Series:
    kind = column.type
    if pa.types.is_integer(kind) and (declared[0].isupper() or column.null_count):
        return _masked(column)
    if pa.types.is_boolean(kind) and (declared == "boolean" or column.null_count):
        return column.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
    if pa.types.is_floating(kind) and declared[0].isupper():
        return column.to_pandas().astype(declared)
    if pa.types.is_string(kind) and declared.startswith("string"):
        return column.to_pandas(types_mapper={pa.string(): pd.StringDtype(declared[7:-1] or None)}.get)
    return column.to_pandas()


def present_values(series: pd.Series) -> pd.Series:
    """What a check that ignores nulls sees: the values that are there, by row, without the cost of masks."""
    if not isinstance(series.array, pd.arrays.IntegerArray):
        return series
    there = series.notna().to_numpy()
    if there.all():
        return series
    rows = np.flatnonzero(there)
    values = series.to_numpy(dtype=series.dtype.numpy_dtype, na_value=0)  # pyright: ignore[reportAttributeAccessIssue]
    return pd.Series(values[rows], index=rows, name=series.name, copy=False)


def _masked(column: pa.ChunkedArray) -> pd.Series:
    values, valid = _integers(column)
    return pd.Series(pd.arrays.IntegerArray(values.copy(), ~valid))


def _integers(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Values [N] and whether each is there, bool [N], without pyarrow's detour over floats or one copy a chunk."""
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array, pa.ChunkedArray):
        array = pa.array([], type=column.type)
    values = np.frombuffer(array.buffers()[1], dtype=column.type.to_pandas_dtype())
    return values[array.offset : array.offset + len(array)], array.is_valid().to_numpy(zero_copy_only=False)
