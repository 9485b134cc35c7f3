"""What a reader yields: typed rows of several partitions, and what went wrong on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from mtac_assets.data.readers.local import Source
from mtac_assets.spec.errors import Finding


@dataclass(frozen=True)
class Fault:
    """Rows that fail one rule. `rows`: bool [N]; `reason(i)`: why row i does, for the quarantine and the terminal."""

    check: str
    rows: np.ndarray
    reason: Callable[[int], str]


@dataclass(frozen=True)
class TypedTable:
    """One file's or query's rows in contract order and type. A value that does not fit its type is null and has a fault."""

    table: pa.Table
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Block:
    """Rows of several partitions. `partition` int32 [N] indexes `keys`; `line` int64 [N] is the row's place in its source.

    `refused` holds the partitions that have no rows here because their source is at fault.
    """

    keys: tuple[str, ...]
    table: pa.Table
    partition: np.ndarray
    line: np.ndarray
    sources: Mapping[str, Source]
    faults: tuple[Fault, ...] = ()
    refused: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)


Blocks = Iterator[Block]


def refuse_all(
    keys: Sequence[str], findings: tuple[Finding, ...], columns: pa.Schema, sources: Mapping[str, Source]
) -> Block:
    """A block without rows: the source of all `keys` is at fault."""
    empty = np.empty(0, dtype=np.int32)
    return Block((), columns.empty_table(), empty, empty.astype(np.int64), sources, (), dict.fromkeys(keys, findings))


def take_faults(faults: Sequence[Fault], order: np.ndarray) -> tuple[Fault, ...]:
    """The faults of the rows `order` (int64 [M]) of a table, in that order."""
    return tuple(
        Fault(fault.check, rows, lambda i, fault=fault: fault.reason(int(order[i])))
        for fault in faults
        if (rows := fault.rows[order]).any()
    )


def join_faults(parts: Sequence[TypedTable]) -> tuple[Fault, ...]:
    """The faults of tables laid one after the other."""
    total = sum(part.table.num_rows for part in parts)
    joined, start = [], 0
    for part in parts:
        for fault in part.faults:
            rows = np.zeros(total, dtype=bool)
            rows[start : start + part.table.num_rows] = fault.rows
            joined.append(Fault(fault.check, rows, lambda i, fault=fault, start=start: fault.reason(i - start)))
        start += part.table.num_rows
    return tuple(joined)
