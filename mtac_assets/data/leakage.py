"""Does a view know the future? Plant one and see whether any feature moves.

Three futures are replaced by noise: the outcomes of the day itself, every row of the days after it, and, moment by moment, the
records of each lookup that were not known strictly before that moment. Features of the day must not change by a bit. What the
engine withholds by construction is thereby shown for a view's real code on real data; it becomes a gate.

The truth about what is known when can be given apart from the definition, so that a wrong declaration is found too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mtac_assets.data.features import compute_day
from mtac_assets.data.features_check import DAY, LABEL
from mtac_assets.data.features_day import Read
from mtac_assets.data.features_view import FeatureDefinition
from mtac_assets.spec.errors import Finding


@dataclass(frozen=True)
class Leak:
    """A feature that knew something planted: which, in how many rows of the day, and what it knew."""

    column: str
    day: str
    rows: int
    planted: str

    def finding(self, definition: FeatureDefinition) -> Finding:
        return Finding(
            f"the feature {self.column} changed in {self.rows} rows when {self.planted} changed",
            f"{definition.recipe}/{self.day}",
            "features that depend only on what is known before each row's event time",
            "compute it from `past`, `lookups` and the columns of `rows`; check outcome_columns and KNOWN_AFTER",
        )


def find_leak(
    definition: FeatureDefinition,
    read: Read,
    key: str,
    *,
    seed: int = 0,
    most_moments: int = 6,
    outcome_columns: Sequence[str] | None = None,
    known_after: Mapping[str, timedelta] | None = None,
) -> tuple[Leak, ...]:
    """Every feature of the day `key` that a planted future moves; empty where none does.

    Args:
        definition, read: as for `features_day.FeatureRun`; nothing is written.
        key: the day whose features are examined; it needs rows, the days before and after it may be missing.
        seed: of the noise.
        most_moments: lookups are examined at so many of the rows' event times at most, spread from the first to the last.
        outcome_columns, known_after: the truth, where it is not what the definition says.
    """
    outcomes = tuple(outcome_columns if outcome_columns is not None else definition.outcome_columns)
    definition = replace(definition, label=_no_label)  # noise need not be a valid outcome, and the label may know it
    read = _remembering(read)
    honest = compute_day(definition, read, key)
    leaks: list[Leak] = []
    everyone = np.ones(honest.num_rows, dtype=bool)
    planted = compute_day(definition, _with_outcomes_replaced(definition, read, key, outcomes, seed), key)
    leaks += _changed(
        definition, honest, planted, everyone, key, f"an outcome of {key} or later ({', '.join(outcomes)})"
    )
    for lookup in definition.lookups:
        assert definition.event_time is not None, "a recipe with lookups has an event time"
        known = known_after.get(lookup.name, lookup.known_after) if known_after is not None else lookup.known_after
        moments = _nanoseconds(honest[definition.event_time])
        for moment in _spread(np.unique(moments), most_moments):
            altered = _with_records_replaced(lookup.name, lookup.event_time, known, read, moment, seed)
            planted = compute_day(definition, altered, key)
            what = f"a record of {lookup.name} that was not known yet"
            leaks += _changed(definition, honest, planted, moments == moment, key, what)
    return _merged(leaks)


def _spread(moments: np.ndarray, most: int) -> list[int]:
    places = np.unique(np.linspace(0, len(moments) - 1, most).round().astype(int))
    return moments[places].tolist()


def _no_label(rows: pd.DataFrame) -> pd.Series:
    return pd.Series(np.nan, index=rows.index)


def _remembering(read: Read) -> Read:
    """Each partition is read once, however often the day is computed."""
    return cache(read)


def _with_outcomes_replaced(
    definition: FeatureDefinition, read: Read, key: str, outcomes: Sequence[str], seed: int
) -> Read:
    def altered(dataset: str, day: str) -> pa.Table | None:
        table = read(dataset, day)
        if table is None or dataset != definition.rows or day < key:
            return table
        columns = table.column_names if day > key else [name for name in table.column_names if name in outcomes]
        return _noisy(table, columns, np.ones(table.num_rows, dtype=bool), seed)

    return altered


def _with_records_replaced(
    name: str, event_time: str, known_after: timedelta, read: Read, moment: int, seed: int
) -> Read:
    delay = known_after // timedelta(microseconds=1) * 1000

    def altered(dataset: str, day: str) -> pa.Table | None:
        table = read(dataset, day)
        if table is None or dataset != name:
            return table
        unknown = _nanoseconds(table[event_time]) + delay >= moment
        columns = [column for column in table.column_names if column != event_time]
        return _noisy(table, columns, unknown, seed)

    return altered


def _noisy(table: pa.Table, columns: Sequence[str], where: np.ndarray, seed: int) -> pa.Table:
    """The table with other numbers and truth values in `columns` of the rows `where`, a tenth of them null.

    Text and moments stay, for they say which record it is; a text that is an outcome is handed to other rows.
    """
    random = np.random.default_rng(seed)
    replaced: dict[str, pa.ChunkedArray | pa.Array] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        replaced[name] = column
        if name not in columns:
            continue
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
            noise, null = random.integers(0, 100, table.num_rows), random.random(table.num_rows) < 0.1
            new = pa.array(noise % 2 == 0 if pa.types.is_boolean(kind) else noise, mask=null).cast(kind)
            replaced[name] = pc.if_else(pa.array(where), new, column)  # pyright: ignore[reportAttributeAccessIssue]
        elif where.all() and not pa.types.is_timestamp(kind):
            replaced[name] = column.take(pa.array(random.permutation(table.num_rows)))
    return pa.table(replaced)


def _changed(
    definition: FeatureDefinition, honest: pa.Table, planted: pa.Table, rows: np.ndarray, key: str, what: str
) -> list[Leak]:
    found = []
    for name in honest.column_names:
        if name in (LABEL, DAY):
            continue
        differs = _differs(honest[name], planted[name]) & rows
        if differs.any():
            found.append(Leak(name, key, int(differs.sum()), what))
    return found


def _differs(left: pa.ChunkedArray, right: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_floating(left.type):
        first, second = left.to_numpy(), right.to_numpy()
        return ~((first == second) | (np.isnan(first) & np.isnan(second)))
    return np.array([one != other for one, other in zip(left.to_pylist(), right.to_pylist(), strict=True)], dtype=bool)


def _merged(leaks: Sequence[Leak]) -> tuple[Leak, ...]:
    rows: dict[tuple[str, str, str], int] = {}
    for leak in leaks:
        identity = (leak.column, leak.day, leak.planted)
        rows[identity] = rows.get(identity, 0) + leak.rows
    return tuple(Leak(column, day, count, planted) for (column, day, planted), count in rows.items())


def _nanoseconds(column: pa.ChunkedArray) -> np.ndarray:
    kind = column.type
    per_unit = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}[kind.unit]
    return column.cast(pa.int64()).to_numpy() * per_unit
