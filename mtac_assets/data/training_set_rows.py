"""Rows told apart: a 64-bit hash of what names a row, and the part that a row of a recipe without time belongs to.

The hashes let a gate see whether two splits share a row without keeping the keys. They are a pure function of the values (not of
encodings, chunking or library versions). Two different rows share a hash with a chance of 2**-64 each; among ten million rows of
one split and ten million of another that is 5e-6 for the whole comparison.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from mtac_assets.spec.recipe import Split

_NULL = np.uint64(0x6E756C6C00000001)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], dtype=np.uint64)


def row_hashes(table: pa.Table, columns: Sequence[str], salt: str = "row") -> np.ndarray:
    """uint64 [N]: equal where two rows agree in `columns`, by name and in order; `salt` gives independent hashes.

    The combination is SplitMix64's (see `sampler`); strings enter by BLAKE2b.
    """
    state = np.full(table.num_rows, _text_hash(salt), dtype=np.uint64)
    for name in columns:
        state = _mixed(state * _STEP + _text_hash(name) ^ _value_hashes(table[name].combine_chunks()))
    return state


def parts(table: pa.Table, split: Split) -> np.ndarray:
    """int8 [N]: 0 train, 1 validate, 2 test. A row's part depends on its own values in `split.by` and on the seed alone."""
    hashes = row_hashes(table, split.by or table.column_names, salt=f"split {split.seed}")
    share = (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.where(
        share < split.test_share, 2, np.where(share < split.test_share + split.validate_share, 1, 0)
    ).astype(np.int8)


def _value_hashes(column: pa.Array) -> np.ndarray:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = column.dictionary_encode()
    if pa.types.is_dictionary(column.type):
        words = [_NULL if word is None else _text_hash(word) for word in column.dictionary.to_pylist()]
        codes = column.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
        return np.array([*words, _NULL], dtype=np.uint64)[codes]
    null = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(kind):
        numbers = column.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False) + 0.0
        bits = np.where(np.isnan(numbers), np.nan, numbers).view(np.uint64)
    else:
        if pa.types.is_timestamp(kind) or pa.types.is_date64(kind):
            column = column.cast(pa.timestamp("us", tz=getattr(kind, "tz", None))).cast(pa.int64())
        elif pa.types.is_date32(kind):
            column = column.cast(pa.int32())
        bits = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
    return np.where(null, _NULL, _mixed(bits + _STEP))


def _mixed(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * _MULTIPLIERS[0]
    values = (values ^ (values >> np.uint64(27))) * _MULTIPLIERS[1]
    return values ^ (values >> np.uint64(31))


def _text_hash(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little"))
