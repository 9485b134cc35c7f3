"""The content digest: what a partition says, whatever file it lies in.

Two tables have the same digest when they hold the same columns (name and type, in the given order) and the same rows;
row order, column order in the file, chunking and dictionary encoding do not count.

What counts as the same value: nulls equal nulls only (a null is neither NaN nor zero nor an empty string); every NaN is one
value, whatever its bits; -0.0 and 0.0 are two values, because a model can tell them apart. Large and plain strings are one
type, and so are a category and a string; every other type is its own.

Belongs here: order by key, and digests of ordered rows. What rows are allowed is the contract's matter.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_SALT = b"mtac content 1\n"
_NO_NULLS, _SOME_NULLS = b"\x00", b"\x01"
_COMBINED_KEY_LIMIT = 2**62


def content_digest(table: pa.Table, key: Sequence[str]) -> str:
    """Digest of `table` [N rows], its rows ordered by the columns `key`; hex SHA-256.

    Columns count in the order of `table.column_names`: give them in contract order. ValueError for a type that no contract
    can declare.
    """
    ordered = table.take(pa.array(row_order(table, key)))
    return slice_digests(ordered, np.array([0, table.num_rows]))[0]


def row_order(table: pa.Table, key: Sequence[str], partition: np.ndarray | None = None) -> np.ndarray:
    """Indices int64 [N] that order the rows by `partition` (int [N], when given) and then by `key`, ascending.

    Strings are ordered by their UTF-8 bytes, nulls come first. Rows with an equal key are ordered by all other columns, so
    that the order of the input never shows.
    """
    ranks = [_ranks(table[name]) for name in key]
    if partition is not None:
        ranks.insert(0, (partition.astype(np.int64), int(partition.max(initial=-1)) + 1))
    order = _lexicographic(ranks, table.num_rows)
    if duplicate_keys(ranks, order).any():
        others = [_ranks(table[name]) for name in table.column_names if name not in key]
        order = _lexicographic([*ranks, *others], table.num_rows)
    return order


def duplicate_keys(ranks: Sequence[tuple[np.ndarray, int]], order: np.ndarray) -> np.ndarray:
    """bool [N-1]: whether the ordered row i+1 equals the ordered row i in all `ranks`."""
    same = np.ones(max(len(order) - 1, 0), dtype=bool)
    for rank, _ in ranks:
        ordered = rank[order]
        same &= ordered[1:] == ordered[:-1]
    return same


def equals_previous(table: pa.Table, columns: Sequence[str]) -> np.ndarray:
    """bool [N]: whether row i has the same values as row i-1 in `columns`; the first row has none before it."""
    same = np.zeros(table.num_rows, dtype=bool)
    same[1:] = True
    for name in columns:
        rank, _ = _ranks(table[name])
        same[1:] &= rank[1:] == rank[:-1]
    return same


def slice_digests(table: pa.Table, bounds: np.ndarray) -> list[str]:
    """Digest of each slice `table[bounds[i]:bounds[i+1]]`, whose rows are already in order."""
    digests = [hashlib.sha256(_SALT) for _ in range(len(bounds) - 1)]
    for digest, (start, stop) in zip(digests, _pairs(bounds), strict=True):
        digest.update(f"{stop - start} rows, {table.num_columns} columns\n".encode())
    for name in table.column_names:
        _digest_column(name, table[name], bounds, digests)
    return [digest.hexdigest() for digest in digests]


def _digest_column(name: str, column: pa.ChunkedArray, bounds: np.ndarray, digests: list[hashlib._Hash]) -> None:
    array = _plain(column)
    heading = f"{len(name.encode())}:{name} {type_name(array.type)}\n".encode()
    valid = None if array.null_count == 0 else array.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_large_string(array.type):
        offsets, text = _string_buffers(array)
        lengths = np.diff(offsets)
        parts = [(lengths, np.arange(len(lengths) + 1)), (text, offsets)]
    else:
        values = _fixed_values(array, valid)
        parts = [(values, np.arange(len(values) + 1))]
    for digest, (start, stop) in zip(digests, _pairs(bounds), strict=True):
        digest.update(heading)
        if valid is None or valid[start:stop].all():
            digest.update(_NO_NULLS)
        else:
            digest.update(_SOME_NULLS)
            digest.update(np.ascontiguousarray(valid[start:stop]).data)
        for data, offsets in parts:
            digest.update(data[offsets[start] : offsets[stop]].data)


def _plain(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """One array without dictionary, strings with 64-bit offsets, timestamps and dates as integers behind their type."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # combine_chunks of an empty column
        array = pa.array([], type=column.type)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_string(array.type):
        array = array.cast(pa.large_string())
    return array


def type_name(kind: pa.DataType) -> str:
    """The name of a type as digests and manifests know it; ValueError for one that no contract can declare."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "string"
    if (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_date32(kind)
    ):
        return str(kind)
    if pa.types.is_boolean(kind):
        return "bool"
    raise ValueError(
        f"a column of type {kind} has no content digest; use numbers, strings, booleans, dates or timestamps"
    )


def _string_buffers(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Offsets int64 [N+1] into the text bytes uint8, nulls as empty, both starting at this array's first row."""
    array = pc.fill_null(array, "") if array.null_count else array
    offsets = np.frombuffer(array.buffers()[1], dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    if len(offsets) == 0:
        offsets = np.zeros(1, dtype=np.int64)
    data = array.buffers()[2]
    text = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8)
    return offsets - offsets[0], text[offsets[0] : offsets[-1]]


def _fixed_values(array: pa.Array, valid: np.ndarray | None) -> np.ndarray:
    """Values of fixed width [N], little-endian, zero where null, one bit pattern for all NaN."""
    kind = array.type
    if pa.types.is_boolean(kind):
        values = pc.fill_null(array, False).to_numpy(zero_copy_only=False).astype(np.uint8)
    else:
        width = {8: "i1", 16: "<i2", 32: "<i4", 64: "<i8"}[kind.bit_width]
        numeric = np.dtype("<f" + width[-1]) if pa.types.is_floating(kind) else np.dtype(width)
        buffer = array.buffers()[1]
        raw = np.frombuffer(buffer, dtype=numeric) if buffer is not None else np.empty(0, dtype=numeric)
        values = raw[array.offset : array.offset + len(array)]
        if pa.types.is_floating(kind) and np.isnan(values).any():
            values = np.where(np.isnan(values), np.array(np.nan, dtype=numeric), values)
        if valid is not None:
            values = np.where(valid, values, np.zeros(1, dtype=numeric))
    return np.ascontiguousarray(values)


def _ranks(column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    """A rank int64 [N] that orders and tells apart the column's values (0 for null), and how many ranks there may be."""
    if pa.types.is_dictionary(column.type) or pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _string_ranks(column)
    array = _plain(column)
    type_name(array.type)
    valid = None if array.null_count == 0 else array.is_valid().to_numpy(zero_copy_only=False)
    values = _fixed_values(array, valid)
    if pa.types.is_floating(array.type):
        # IEEE bits as integers keep the order once negative ones are mirrored; -0.0 comes just before 0.0.
        bits = values.view(f"<i{values.itemsize}").astype(np.int64)
        values = np.where(bits < 0, np.int64(np.iinfo(f"i{values.itemsize}").min) - bits - 1, bits)
    if len(values) == 0:
        return values.astype(np.int64), 1
    low, high = int(values.min()), int(values.max())
    if high - low >= _COMBINED_KEY_LIMIT:
        _, dense = np.unique(values, return_inverse=True)
        rank, count = dense.astype(np.int64), len(values)
    else:
        rank, count = values.astype(np.int64) - low, high - low + 1
    rank += 1
    return (rank if valid is None else np.where(valid, rank, 0)), count + 1


def _string_ranks(column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if isinstance(array, pa.ChunkedArray):
        array = pa.array([], type=column.type)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    words = array.dictionary.to_pylist()
    # A dictionary may hold one word twice or words that no row uses; only the order among distinct words matters.
    place = {
        word: rank for rank, word in enumerate(sorted({word for word in words if word is not None}, key=str.encode), 1)
    }
    table = np.array([*(0 if word is None else place[word] for word in words), 0], dtype=np.int64)
    codes = (
        pc.fill_null(array.indices, len(words)).to_numpy(zero_copy_only=False)
        if array.null_count
        else array.indices.to_numpy()
    )
    return table[codes], len(place) + 1


def _lexicographic(ranks: Sequence[tuple[np.ndarray, int]], rows: int) -> np.ndarray:
    """Stable order by the first rank, then the second, and so on; ranks are packed into single integers as they fit."""
    packed: list[np.ndarray] = []
    size = 1
    for rank, count in ranks:
        if packed and size * count < _COMBINED_KEY_LIMIT:
            packed[-1] = packed[-1] * count + rank
            size *= count
        else:
            packed.append(rank)
            size = count
    if not packed:
        return np.arange(rows)
    if len(packed) == 1:
        return np.argsort(packed[0], kind="stable")
    return np.lexsort(packed[::-1])


def _pairs(bounds: np.ndarray) -> list[tuple[int, int]]:
    return list(itertools.pairwise(bounds.tolist()))
