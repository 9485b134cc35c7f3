"""The statistics: what each column's residuals say, one number a component, all of them zero where nothing moved.

| kind        | of                | effect                                                     | unit  |
|-------------|-------------------|------------------------------------------------------------|-------|
| shift       | a numeric column  | Wasserstein-1 distance between the outermost 0.1 % / sigma | σ     |
| spread      | a numeric column  | change of the mean distance of ranks from the middle       | rank  |
| tails       | a numeric column  | change of the share outside of the reference's 99.8 %      | share |
| missing     | any column        | change of the null rate                                    | share |
| categories  | a category column | total variation                                            | share |
| new         | a category column | change of the share of categories never seen               | share |
| correlation | two columns       | change of the rank correlation                             | r     |

Which value is unusual, null.py says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtac_assets.monitoring.drift.rows import Column
from mtac_assets.monitoring.drift.sketch import Layout
from mtac_assets.monitoring.drift.windows import Expected, Residuals, rank_scale, spread_columns

UNITS = {
    "shift": "σ",
    "spread": "rank",
    "tails": "share",
    "missing": "share",
    "categories": "share",
    "new": "share",
    "correlation": "r",
}


@dataclass(frozen=True)
class Component:
    """One statistic. `other`: the second column of a correlation."""

    kind: str
    column: Column
    other: Column | None = None


@dataclass(frozen=True, eq=False)
class Family:
    """All components, in the order of the columns of what `linear` and `shares` return."""

    components: tuple[Component, ...]
    layout: Layout
    shift_weights: np.ndarray
    """[numeric bins]: length in sigma that a cumulative share stands for."""
    correlation_scale: np.ndarray
    """[pairs]: what turns a mean product of ranks into a correlation; 0 where a column is constant."""
    defined: np.ndarray
    """bool [components]: False where the reference's column is constant or empty, so that the statistic does not exist."""

    def linear(self, residuals: np.ndarray) -> np.ndarray:
        """Sizes [..., linear components] of linear residuals [..., Q]."""
        bins, width, words, _ = self._parts()
        cumulative, spread, category, pairs = np.split(residuals, np.cumsum([bins, width, words]), axis=-1)
        shift = _sums(np.abs(cumulative) * self.shift_weights, self.layout.numeric_starts)
        variation = 0.5 * _sums(np.abs(category), self.layout.category_starts)
        return np.concatenate([shift, np.abs(spread), variation, np.abs(pairs) * self.correlation_scale], axis=-1)

    def variances(self, squares: np.ndarray) -> np.ndarray:
        """A variance [..., linear components] in proportion to each component's, from squared residuals [..., Q]."""
        bins, width, words, _ = self._parts()
        cumulative, spread, category, pairs = np.split(squares, np.cumsum([bins, width, words]), axis=-1)
        return np.concatenate(
            [
                _sums(cumulative * self.shift_weights, self.layout.numeric_starts),
                spread,
                _sums(category, self.layout.category_starts),
                pairs,
            ],
            axis=-1,
        )

    @property
    def first_share(self) -> int:
        """Where the components that are shares begin."""
        _, width, _, pairs = self._parts()
        return 2 * width + len(self.layout.categorical) + pairs

    def sizes(self, residuals: Residuals) -> np.ndarray:
        """Rows [W, components] that each component is of."""
        bins, width, words, _ = self._parts()
        sizes = residuals.sizes
        starts = bins + width + self.layout.category_starts
        of_pairs = sizes[:, bins + width + words :]
        numbers = sizes[:, bins : bins + width]
        return np.concatenate([numbers, numbers, sizes[:, starts], of_pairs, residuals.counted], axis=1)

    def _parts(self) -> tuple[int, int, int, int]:
        width = len(self.layout.numeric)
        return len(self.shift_weights), width, len(spread_columns(self.layout)[1]), len(self.correlation_scale)


def family(layout: Layout, model: Expected) -> Family:
    """The family of a reference: every component of every column."""
    numbers = [bins.column for bins in layout.numeric]
    words = [bins.column for bins in layout.categorical]
    first, second = layout.pairs
    components = [
        *(Component("shift", column) for column in numbers),
        *(Component("spread", column) for column in numbers),
        *(Component("categories", column) for column in words),
        *(Component("correlation", numbers[a], numbers[b]) for a, b in zip(first, second, strict=True)),
        *(Component("tails", column) for column in numbers),
        *(Component("missing", column) for column in layout.columns),
        *(Component("new", column) for column in words),
    ]
    overall = (model.rows[:, None] * model.bins).sum(axis=0) / model.rows.sum()
    deviation = rank_scale(layout, overall)
    scale = deviation[first] * deviation[second]
    held = np.array([len(bins.edges) > 0 for bins in layout.numeric], dtype=bool)
    moving = np.array([bins.sigma > 0 for bins in layout.numeric], dtype=bool)
    known = np.array([bins.width > 0 for bins in layout.categorical], dtype=bool)
    defined = [moving, moving, known, scale > 0, held, np.ones(len(layout.columns), dtype=bool), known]
    weights = [_weights(bins.edges, bins.sigma) for bins in layout.numeric]
    return Family(
        tuple(components),
        layout,
        np.concatenate(weights) if weights else np.empty(0),
        np.divide(1.0, scale, out=np.zeros(scale.shape), where=scale > 0),
        np.concatenate(defined),
    )


def _weights(edges: np.ndarray, sigma: float) -> np.ndarray:
    """Trapezoid rule over the edges, in sigma; the last bin has no end and weighs nothing."""
    if sigma <= 0:
        return np.zeros(len(edges) + 1)
    gaps = np.diff(edges) / sigma / 2
    return np.concatenate([np.concatenate([[0.0], gaps]) + np.concatenate([gaps, [0.0]]), [0.0]])


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    if not len(starts):
        return np.empty((*values.shape[:-1], 0))
    if (np.diff(np.append(starts, values.shape[-1])) > 0).all():
        return np.add.reduceat(values, starts, axis=-1)
    ends = np.append(starts[1:], values.shape[-1])  # a column without bins: reduceat would give it its neighbour's
    return np.stack([values[..., a:b].sum(axis=-1) for a, b in zip(starts, ends, strict=True)], axis=-1)
