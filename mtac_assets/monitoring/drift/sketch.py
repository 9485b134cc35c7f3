"""Counting rows into bins: the sketch of one block, which is all that drift keeps of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from mtac_assets.monitoring.drift.bins import CategoryBins, NumericBins
from mtac_assets.monitoring.drift.rows import Categories, Column, DriftError, Rows
from mtac_assets.spec.errors import Finding

CHUNK = 1 << 16  # rows counted at a time: the products of ranks then stay in the processor's cache


@dataclass(frozen=True, eq=False)
class Layout:
    """Which columns there are, in the order of their names, and where the bins of each begin in the flat arrays."""

    numeric: tuple[NumericBins, ...]
    categorical: tuple[CategoryBins, ...]
    raw: tuple[Column, ...]
    pairs: tuple[np.ndarray, np.ndarray]
    """int [P] and [P]: places of the first and the second column of each pair of numeric columns under watch."""

    @property
    def numeric_starts(self) -> np.ndarray:
        return _starts([len(bins.ranks) for bins in self.numeric])

    @property
    def category_starts(self) -> np.ndarray:
        return _starts([bins.width for bins in self.categorical])

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns; `missing` and `sizes` of a sketch are in this order."""
        return (*(bins.column for bins in self.numeric), *(bins.column for bins in self.categorical), *self.raw)


@dataclass(frozen=True, eq=False)
class Sketch:
    """Counts, int64, of one block, or with a leading axis of several.

    `rows` []; `bins` [numeric bins]; `categories` [category bins]; `new` [categorical columns]: rows of a category that
    the reference never had; `missing`, `sizes` [columns]: nulls and rows; `products`, `together` [pairs]: sum of the
    products of ranks, and rows where both are present.
    """

    rows: np.ndarray
    bins: np.ndarray
    categories: np.ndarray
    new: np.ndarray
    missing: np.ndarray
    sizes: np.ndarray
    products: np.ndarray
    together: np.ndarray


def sketch(rows: Rows, layout: Layout) -> Sketch:
    """Count `rows`. Raises DriftError where columns are not those of the layout: nothing is left out in silence."""
    require_columns(rows, layout)
    numbers = rows.numbers()
    bins = [np.zeros(len(one.ranks), dtype=np.int64) for one in layout.numeric]
    missing = np.zeros(len(layout.columns), dtype=np.int64)
    width = len(layout.numeric)
    products, together = np.zeros((width, width)), np.zeros((width, width))
    for start in range(0, rows.count if width else 0, CHUNK):
        ranks = np.empty((min(CHUNK, rows.count - start), width))
        absent = np.zeros(width, dtype=np.int64)
        for place, one in enumerate(layout.numeric):
            found = np.searchsorted(np.append(one.edges, np.inf), numbers[one.column][start : start + CHUNK])
            counted = np.bincount(found, minlength=len(one.ranks) + 1)  # NaN sorts after infinity
            bins[place] += counted[:-1]
            absent[place] = counted[-1]
            ranks[:, place] = np.append(one.ranks, 0).astype(np.float64)[found]
        missing[:width] += absent
        products += ranks.T @ ranks
        together += _together(numbers, layout, start, len(ranks), absent)
    categories, new = [], np.zeros(len(layout.categorical), dtype=np.int64)
    for place, one in enumerate(layout.categorical):
        counted = _counted(rows.categorical[one.column.name], one)
        categories.append(counted[:-2])
        new[place], missing[width + place] = counted[-2:]
    sizes = np.full(len(layout.columns), rows.count, dtype=np.int64)
    for place, column in enumerate(layout.raw, start=width + len(categories)):
        missing[place], sizes[place] = rows.raw[column.name]
    upper = layout.pairs
    return Sketch(
        np.array(rows.count, dtype=np.int64),
        _flat(bins),
        _flat(categories),
        new,
        missing,
        sizes,
        products[upper].astype(np.int64),
        together[upper].astype(np.int64),
    )


def all_pairs(columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Every two of `columns` numeric columns, as `Layout.pairs`."""
    return np.triu_indices(columns, 1)


def stack(sketches: Sequence[Sketch]) -> Sketch:
    """Sketches of several blocks as one with a leading axis."""
    return Sketch(*(np.stack([getattr(one, part.name) for one in sketches]) for part in fields(Sketch)))


def total(stacked: Sketch) -> Sketch:
    """The blocks of a stacked sketch, added."""
    return Sketch(*(getattr(stacked, part.name).sum(axis=0) for part in fields(Sketch)))


def require_columns(rows: Rows, layout: Layout) -> None:
    kinds = {
        "numeric": (set(rows.numbers()), {bins.column for bins in layout.numeric}),
        "categorical": (
            {Column("feature", name) for name in rows.categorical},
            {bins.column for bins in layout.categorical},
        ),
        "raw": ({Column("raw", name) for name in rows.raw}, set(layout.raw)),
    }
    told = []
    for kind, (given, wanted) in kinds.items():
        told += [f"{kind} {column} (not in the reference)" for column in sorted(given - wanted)]
        told += [f"{kind} {column} (absent)" for column in sorted(wanted - given)]
    if told:
        raise DriftError(
            Finding(f"columns differ from the reference's: {', '.join(told)}", "rows", "the reference's columns", "compute features and scores with the model that the reference is of")
        )  # fmt: skip


def _together(
    numbers: dict[Column, np.ndarray], layout: Layout, start: int, count: int, absent: np.ndarray
) -> np.ndarray | float:
    if not absent.any():
        return float(count)
    present = np.stack(
        [~np.isnan(numbers[one.column][start : start + count]) for one in layout.numeric], axis=1
    ).astype(np.float64)
    return present.T @ present


def _counted(column: Categories, bins: CategoryBins) -> np.ndarray:
    """Rows of each bin, then those of a category never seen, then the nulls."""
    place = {value: min(index, bins.width - 1) for index, value in enumerate(bins.known)}
    to_bin = np.array([place.get(value, bins.width) for value in column.values] + [bins.width + 1], dtype=np.int64)
    by_value = np.bincount(np.asarray(column.codes) + 1, minlength=len(column.values) + 1)
    return np.bincount(to_bin, weights=np.roll(by_value, -1), minlength=bins.width + 2).astype(np.int64)


def _starts(widths: Sequence[int]) -> np.ndarray:
    return (
        np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.int64) if len(widths) else np.empty(0, dtype=np.int64)
    )


def _flat(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
