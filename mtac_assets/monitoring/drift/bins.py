"""How a column is cut into bins, once, from the reference's own rows; a window is counted into the same bins.

All statistics are functions of these counts, so that neither a reference nor a day needs its rows again. Counts are
whole numbers: the order of rows cannot change them, and days add up exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mtac_assets.monitoring.drift.rows import Column

LEVELS = (0.01, *np.linspace(0.03, 0.97, 29), 0.99)
TAIL = 0.001  # share of the reference outside of the outermost edges, on each side
TAIL_ROWS = 30  # rows at least that a tail's edge rests on; but a tail is never more than the outermost of LEVELS
MOST_CATEGORIES = 64  # those with the most rows; the others known share one bin
RANK_STEPS = 1000  # ranks are kept as whole numbers: products of ranks add up exactly, in any order


@dataclass(frozen=True, eq=False)
class NumericBins:
    """Bin i holds (edges[i-1], edges[i]]; bins 0 and E are the tails. `ranks` int [E+1]: mid-ranks of the bins from
    -RANK_STEPS to RANK_STEPS. `sigma`: standard deviation of the reference between its outermost edges."""

    column: Column
    edges: np.ndarray
    ranks: np.ndarray
    sigma: float


@dataclass(frozen=True, eq=False)
class CategoryBins:
    """`known`: every value of the reference, those with the most rows first; the first `kept` have a bin each, the rest
    one together where there are any. `first`, `last` int [known]: the blocks a value was seen in; `count`: its rows."""

    column: Column
    known: tuple[str, ...]
    first: np.ndarray
    last: np.ndarray
    count: np.ndarray

    @property
    def kept(self) -> int:
        return min(len(self.known), MOST_CATEGORIES)

    @property
    def width(self) -> int:
        """Bins of this column."""
        return self.kept + (len(self.known) > self.kept)


def numeric_bins(column: Column, blocks: Sequence[np.ndarray]) -> NumericBins:
    """Bins of a column from the reference's values, NaN left out; none but one bin where no value is present."""
    values = np.concatenate([np.asarray(block, dtype=np.float64) for block in blocks])
    # Sorted, so that sums of floats do not depend on the order of rows either; plus zero, so that there is no minus zero.
    values = np.sort(values[~np.isnan(values)]) + 0.0
    if not len(values):
        return NumericBins(column, np.empty(0), np.zeros(1, dtype=np.int64), 0.0)
    tail = min(max(TAIL, TAIL_ROWS / len(values)), 0.01)
    cuts = np.quantile(values, [tail, *LEVELS, 1 - tail], method="inverted_cdf")
    once, times = np.unique(cuts, return_counts=True)
    atoms = once[(times > 1) | (once == cuts[0]) | (once == cuts[-1])]
    # An edge right below a value that many rows share gives it a bin of its own, so that smaller values are told from it.
    edges = np.unique(np.concatenate([once, np.nextafter(atoms, -np.inf)]))
    counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
    share = counts / len(values)
    ranks = np.rint(RANK_STEPS * (2 * np.cumsum(share) - share - 1)).astype(np.int64)
    within = np.clip(values, edges[0], edges[-1])
    return NumericBins(column, edges, ranks, float(within.std()) if edges[-1] > edges[0] else 0.0)


def category_bins(column: Column, blocks: Sequence[dict[str, int]]) -> CategoryBins:
    """Bins of a categorical column from the rows of each value in each block."""
    spans: dict[str, list[int]] = {}
    for place, block in enumerate(blocks):
        for value, rows in block.items():
            span = spans.setdefault(value, [place, place, 0])
            span[1], span[2] = place, span[2] + rows
    known = sorted(spans, key=lambda value: (-spans[value][2], value))
    table = np.array([spans[value] for value in known], dtype=np.int64).reshape(-1, 3)
    return CategoryBins(column, tuple(known), table[:, 0], table[:, 1], table[:, 2])
