"""Windows of blocks against what the history lets one expect of them: residuals, in one row a window.

The same arithmetic serves the window under judgement and every window of the reference's own history, so that the two are
comparable. A window of k blocks is expected to be what the history is on the same calendar slots, weighted by its rows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from mtac_assets.monitoring.drift.bins import RANK_STEPS
from mtac_assets.monitoring.drift.reference import Reference
from mtac_assets.monitoring.drift.sketch import Layout, Sketch


@dataclass(frozen=True, eq=False)
class Expected:
    """What a block of a calendar slot holds: `slots` int [S]; the shares float [S, ...] by the axes of a sketch, of the
    values present (bins, categories), of all rows (missing), a row where both are present (products)."""

    slots: np.ndarray
    rows: np.ndarray
    bins: np.ndarray
    categories: np.ndarray
    missing: np.ndarray
    products: np.ndarray
    new: np.ndarray


@dataclass(frozen=True, eq=False)
class Residuals:
    """Observed minus expected, one row a window [W].

    `linear` [W, Q]: cumulative shares at the end of each bin, spread of each numeric column, shares of categories, rank
    correlations, in that order; `sizes` [W, Q]: the rows that each is of. `shares` [W, P] and `counted` [W, P]: tails of
    each numeric column, nulls of each column, new categories; `stable` [W, P]: the same with unit sampling variance.
    `leverage` [W]: weight of a window within its own expectation; `linear` has not been relieved of it, as it can be by a
    factor; `shares` and `stable` of a window of the history are against the other blocks alone, as they are not linear.
    """

    linear: np.ndarray
    sizes: np.ndarray
    shares: np.ndarray
    stable: np.ndarray
    counted: np.ndarray
    leverage: np.ndarray


def expected(reference: Reference, window: int) -> Expected:
    """The history's shares by calendar slot where it reaches for that, over all blocks otherwise; new categories for windows of `window` blocks."""
    stacked, layout = reference.sketches, reference.layout
    slots = np.unique(reference.slots) if reference.by_calendar else np.array([-1])
    member = reference.slots[None, :] == slots[:, None] if reference.by_calendar else np.ones((1, len(reference.keys)), bool)  # fmt: skip
    bin_of, category_of = spread_columns(layout)
    present = _present(stacked, layout)

    def share(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """By slot; of all blocks where a slot has no values, 0 where no block has."""
        whole, all_sizes = counts.sum(axis=0), sizes.sum(axis=0)
        overall = np.divide(whole, all_sizes, out=np.zeros(whole.shape), where=all_sizes > 0)
        of_slot, size = member.astype(float) @ counts, member.astype(float) @ sizes
        return np.where(size > 0, of_slot / np.maximum(size, 1), overall)

    width = len(layout.numeric)
    fresh = new_in_history(reference, window)
    words = _windows(present[:, width:], window)
    new = np.divide(fresh.sum(axis=0), words.sum(axis=0), out=np.zeros(fresh.shape[1]), where=words.sum(axis=0) > 0)
    return Expected(
        slots,
        member.astype(float) @ stacked.rows,
        share(stacked.bins, present[:, :width][:, bin_of]),
        share(stacked.categories, present[:, width:][:, category_of]),
        share(stacked.missing, stacked.sizes),
        share(stacked.products, stacked.together),
        new,
    )


def history(reference: Reference, model: Expected, window: int) -> Residuals:
    """Every window of `window` blocks of the reference's own history; a category seen in that window alone is new to it."""
    stacked = reference.sketches
    slots = reference.slots if reference.by_calendar else np.full(len(reference.keys), -1)
    fresh = new_in_history(reference, window)
    return _residuals(reference.layout, model, stacked, slots, window, fresh, within=True)


def of_window(layout: Layout, model: Expected, stacked: Sketch, slots: np.ndarray) -> Residuals:
    """The blocks of `stacked`, together, as one window."""
    return _residuals(layout, model, stacked, slots, len(slots), stacked.new.sum(axis=0)[None])


def new_in_history(reference: Reference, window: int) -> np.ndarray:
    """Rows int [W, categorical columns] of each window whose category no block outside of it has."""
    count = len(reference.keys) - window + 1
    counted = np.zeros((max(count, 0), len(reference.layout.categorical)), dtype=np.int64)
    for place, bins in enumerate(reference.layout.categorical):
        brief = bins.last - bins.first < window
        for first, last, rows in zip(bins.first[brief], bins.last[brief], bins.count[brief], strict=True):
            counted[max(last - window + 1, 0) : first + 1, place] += rows
    return counted


def spread_columns(layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """The numeric column of each numeric bin, and the categorical column of each category bin."""
    widths = [len(bins.ranks) for bins in layout.numeric]
    kinds = [bins.width for bins in layout.categorical]
    return np.repeat(np.arange(len(widths)), widths), np.repeat(np.arange(len(kinds)), kinds)


def rank_scale(layout: Layout, bins: np.ndarray) -> np.ndarray:
    """Standard deviation [numeric columns] of each column's ranks under the shares `bins`; 0 for a constant column."""
    if not layout.numeric:
        return np.empty(0)
    ranks = np.concatenate([one.ranks for one in layout.numeric]) / RANK_STEPS
    starts = layout.numeric_starts
    mean = np.add.reduceat(bins * ranks, starts)
    return np.sqrt(np.maximum(np.add.reduceat(bins * ranks**2, starts) - mean**2, 0))


def _residuals(
    layout: Layout,
    model: Expected,
    stacked: Sketch,
    slots: np.ndarray,
    window: int,
    fresh: np.ndarray,
    within: bool = False,
) -> Residuals:
    at = np.searchsorted(model.slots, slots)
    bin_of, category_of = spread_columns(layout)
    width = len(layout.numeric)
    present = _present(stacked, layout)
    numbers, words = present[:, :width], present[:, width:]
    sums = Sketch(*(_windows(getattr(stacked, part.name), window) for part in fields(Sketch)))
    numbers_w, words_w = _windows(numbers, window), _windows(words, window)

    excess = sums.bins - _windows(numbers[:, bin_of] * model.bins[at], window)
    cumulative, spread = _numeric(layout, excess)
    tails = _tails(layout, sums.bins)
    tails_expected = np.maximum(tails - _tails(layout, excess), 0.0)
    category = sums.categories - _windows(words[:, category_of] * model.categories[at], window)
    products = (sums.products - _windows(stacked.together * model.products[at], window)) / RANK_STEPS**2
    nulls = _windows(stacked.sizes * model.missing[at], window)

    sizes = np.concatenate([numbers_w[:, bin_of], numbers_w, words_w[:, category_of], sums.together], axis=1)
    linear = np.concatenate([cumulative, spread, category, products], axis=1)
    linear = np.divide(linear, sizes, out=np.zeros(linear.shape), where=sizes > 0)
    counts = np.concatenate([tails, sums.missing, fresh], axis=1).astype(float)
    counted = np.concatenate([numbers_w, sums.sizes, words_w], axis=1)
    if within:
        tails_expected = _others(_tails(layout, stacked.bins), numbers, at, window)
        nulls = _others(stacked.missing, stacked.sizes, at, window)
    means = np.concatenate([tails_expected, nulls, words_w * model.new], axis=1)
    shares = np.divide(counts - means, counted, out=np.zeros(counts.shape), where=counted > 0)
    stable = stabilised(counts, counted) - stabilised(means, counted)
    return Residuals(linear, sizes, shares, stable, counted, _leverage(model, stacked.rows, at, window))


def stabilised(count: np.ndarray, size: np.ndarray) -> np.ndarray:
    """A binomial count with about unit variance, whatever its rate. Source: Anscombe, "The transformation of Poisson,
    binomial and negative-binomial data", Biometrika 35 (1948), eq. (2.6)."""
    return 2 * np.sqrt(size + 0.5) * np.arcsin(np.sqrt((count + 0.375) / (size + 0.75)))


def _numeric(layout: Layout, excess: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cumulative excess at each bin's end [W, bins], and of the rank's distance from the middle [W, numeric columns]."""
    if not layout.numeric:
        return np.empty((len(excess), 0)), np.empty((len(excess), 0))
    starts = layout.numeric_starts
    ends = np.append(starts[1:], excess.shape[1]) - 1
    running = np.cumsum(excess, axis=1)
    before = np.where(starts > 0, running[:, np.maximum(starts - 1, 0)], 0.0)
    cumulative = running - before[:, spread_columns(layout)[0]]
    cumulative[:, ends] = 0.0  # a column's last bin ends where everything is below, exactly
    ranks = np.concatenate([bins.ranks for bins in layout.numeric]) / RANK_STEPS
    return cumulative, np.add.reduceat(excess * (2 * np.abs(ranks) - 1), starts, axis=1)


def _tails(layout: Layout, counts: np.ndarray) -> np.ndarray:
    """The first and the last bin of each numeric column [W, numeric columns]; 0 for a column with one bin."""
    starts = layout.numeric_starts
    ends = np.append(starts[1:], counts.shape[1])[: len(starts)] - 1
    return np.where(ends > starts, counts[:, starts] + counts[:, ends], 0)


def _others(counts: np.ndarray, sizes: np.ndarray, at: np.ndarray, window: int) -> np.ndarray:
    """Counts [W, P] that windows of the history would hold at the rates of all other blocks of their slots; where there
    is no other block with rows, at the rate of the slot."""
    member = (at[:, None] == np.arange(at.max(initial=0) + 1))[:, :, None]
    counts_in, sizes_in = _windows(counts[:, None] * member, window), _windows(sizes[:, None] * member, window)
    whole, all_sizes = (counts[:, None] * member).sum(axis=0), (sizes[:, None] * member).sum(axis=0)
    rate = np.divide(whole, all_sizes, out=np.zeros(whole.shape), where=all_sizes > 0)
    left = all_sizes - sizes_in
    rates = np.divide(whole - counts_in, left, out=np.broadcast_to(rate, left.shape).copy(), where=left > 0)
    return (sizes_in * rates).sum(axis=1)


def _leverage(model: Expected, rows: np.ndarray, at: np.ndarray, window: int) -> np.ndarray:
    by_slot = _windows(rows[:, None] * (at[:, None] == np.arange(len(model.slots))), window)
    return (by_slot**2 / model.rows).sum(axis=1) / np.maximum(by_slot.sum(axis=1), 1)


def _present(stacked: Sketch, layout: Layout) -> np.ndarray:
    """Values present int [blocks, numeric and categorical columns]."""
    width = len(layout.numeric) + len(layout.categorical)
    return (stacked.sizes - stacked.missing)[:, :width]


def _windows(values: np.ndarray, window: int) -> np.ndarray:
    """Sums of `window` consecutive rows of `values` [D, ...]: [D - window + 1, ...]."""
    if window == 1:
        return values
    running = np.cumsum(values, axis=0)
    sums = running[window - 1 :].copy()
    sums[1:] -= running[:-window]
    return sums
