"""From typed tables to blocks: rows get their day, their order by key, and a bounded number of neighbours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from mtac_assets.data.content import row_order
from mtac_assets.data.readers.days import NO_DATE, partition_index, row_days
from mtac_assets.data.readers.local import Source, SourceError
from mtac_assets.data.readers.rows import Block, TypedTable, take_faults
from mtac_assets.spec.dataset import DailyPartitions, Dataset
from mtac_assets.spec.errors import Finding

ROWS_PER_BLOCK = 1_000_000
DAYS_PER_BLOCK = 100


def whole_source(
    dataset: Dataset, typed: TypedTable, keys: Sequence[str], sources: Mapping[str, Source], where: str
) -> Iterator[Block]:
    """Blocks of a source that holds all days: rows of days not asked for are left, rows without a day refuse the source."""
    if isinstance(dataset.partitions, DailyPartitions):
        days = row_days(typed.table, dataset.partitions.date)
        undated = days == NO_DATE
        if undated.any():
            raise SourceError(
                Finding(f"{int(undated.sum())} rows have no valid date", f"{where}, row {int(undated.argmax()) + 1}",
                        "a date in every row, or nobody can tell which day it belongs to", "correct the rows in the source")
            )  # fmt: skip
        partition = partition_index(days, keys)
    else:
        partition = np.zeros(typed.table.num_rows, dtype=np.int32)
    yield from ordered_blocks(dataset, typed, partition, np.arange(typed.table.num_rows), keys, sources)


def one_day(dataset: Dataset, typed: TypedTable, key: str, where: str) -> None:
    """SourceError unless every row of a file of one day is of that day."""
    if not isinstance(dataset.partitions, DailyPartitions):
        return
    other = partition_index(row_days(typed.table, dataset.partitions.date), [key]) != 0
    if other.any():
        raise SourceError(
            Finding(f"{int(other.sum())} of {len(other)} rows are not of {key}", f"{where}, row {int(other.argmax()) + 1}",
                    f"only rows of {key}, the day in the file's name", "deliver the right file under this name")
        )  # fmt: skip


def ordered_blocks(
    dataset: Dataset,
    typed: TypedTable,
    partition: np.ndarray,
    line: np.ndarray,
    keys: Sequence[str],
    sources: Mapping[str, Source],
) -> Iterator[Block]:
    """The rows with a partition (0 or more), ordered by partition and key, in blocks of bounded size."""
    chosen = np.flatnonzero(partition >= 0)
    table, wanted = typed.table, partition
    if len(chosen) < len(partition):
        table, wanted = table.take(pa.array(chosen)), partition[chosen]
    order = row_order(table, dataset.key, wanted)
    table, wanted = table.take(pa.array(order)), wanted[order]
    places = chosen[order]
    edges = np.searchsorted(wanted, np.arange(len(keys) + 1))
    for first, last in _cuts(edges):
        start, stop = int(edges[first]), int(edges[last])
        here = places[start:stop]
        faults = take_faults(typed.faults, here)
        part = (wanted[start:stop] - first).astype(np.int32)
        yield Block(tuple(keys[first:last]), table.slice(start, stop - start), part, line[here], sources, faults)


def _cuts(edges: np.ndarray) -> Iterator[tuple[int, int]]:
    first = 0
    while first < len(edges) - 1:
        last = first + 1
        while (
            last < len(edges) - 1
            and last - first < DAYS_PER_BLOCK
            and int(edges[last + 1] - edges[first]) <= ROWS_PER_BLOCK
        ):
            last += 1
        yield first, last
        first = last
