"""What the family does where nothing drifts: its distribution, drawn from the reference's own windows.

A null window is a sum of the history's own window residuals under Gaussian multipliers: it has exactly their covariance,
between columns and between rows of a window, at whatever autocorrelation they have. Sources: Chernozhukov, Chetverikov and
Kato, "Gaussian approximations and multiplier bootstrap for maxima of sums of high-dimensional random vectors", Annals of
Statistics 41 (2013); Shao, "The dependent wild bootstrap", JASA 105 (2010). Each component is then divided by what one in a
hundred null windows reach (prepivoting; Beran, JASA 83 (1988)), so that the largest of them compares like with like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mtac_assets.monitoring.drift.components import Family
from mtac_assets.monitoring.drift.windows import Residuals

UNIT_LEVEL = 0.99
KIND_TOP, COMPONENT_TOP = 10, 4  # windows of the history that tell how heavy a tail is
DRAWN_TOGETHER = 250  # null windows: of two hundred columns these are 15 MB
MOST_OF_VARIANCE = 0.5  # in one window of the history
LEAST_UNIT = 1e-9  # a statistic that never moved in the whole history is measured against this


@dataclass(frozen=True, eq=False)
class Null:
    """`units` [components]: the 99 % point of each, in its own unit. `largest` [R]: the largest component of each null
    window, in units. `own` [W, components]: the history's windows, each measured by the others, in units. `farthest`
    [components]: the farthest window of the history in units, not measured by the others. `once` bool [components]: one
    window of the history holds most of the variance, so that the others do not tell how far such a column goes."""

    units: np.ndarray
    largest: np.ndarray
    own: np.ndarray
    farthest: np.ndarray
    once: np.ndarray
    freedom: float


def null(
    family: Family,
    own: Residuals,
    new: Residuals,
    *,
    window: int,
    parameters: int,
    judged: np.ndarray,
    resamples: int,
    seed: int,
) -> Null:
    """Draw `resamples` null windows of the size of `new` from the windows `own`. `parameters`: expectations estimated from
    the history (calendar slots). `judged` bool [components]: those in the maximum."""
    count = len(own.leverage)
    freedom = degrees_of_freedom(count + window - 1, window, parameters)
    rng = np.random.default_rng(seed)
    inflate = np.sqrt(1 + new.leverage[0])
    used = own.sizes > 0
    root = np.sqrt(1 - own.leverage)[:, None]
    base = own.linear / root
    # A smaller window varies more, as independent rows do; a larger one is not trusted to vary less, as days do not.
    linear = base * np.sqrt(np.maximum(own.sizes / np.maximum(new.sizes, 1), 1.0))
    steady = own.stable * root  # against the others alone, hence larger by this
    stable = steady * np.sqrt(np.maximum(new.counted / np.maximum(own.counted, 1), 1.0))

    draws = rng.standard_normal((resamples, count))
    scaled = linear / np.sqrt(np.maximum(used.sum(axis=0), 1))
    parts = np.split(draws, range(DRAWN_TOGETHER, resamples, DRAWN_TOGETHER))
    simulated = np.concatenate([family.linear(part @ scaled) for part in parts])
    spread = np.sqrt(np.mean(stable**2, axis=0))
    short = np.sqrt(np.maximum(1 - spread**2, 0))  # counts vary at least as independent rows do
    shares = draws @ (stable / np.sqrt(count)) + short * rng.standard_normal((resamples, stable.shape[1]))
    sizes = np.concatenate([simulated, np.abs(shares)], axis=1) * inflate
    sizes /= _scales(rng, freedom, sizes.shape)  # the scale itself is estimated: Student's t
    units = np.maximum(np.quantile(sizes, UNIT_LEVEL, axis=0), LEAST_UNIT)
    largest = (sizes / units)[:, judged].max(axis=1, initial=0.0)
    squares = np.concatenate([family.variances(base**2), steady**2], axis=1)
    once = squares.max(axis=0) > MOST_OF_VARIANCE * squares.sum(axis=0)
    before = _own(family, own, base, steady, linear, stable, units, inflate)
    kinds = np.array([component.kind for component in family.components])
    heavy = heavier(before, sizes / units, kinds, judged & ~once)
    farthest = np.concatenate([family.linear(base), np.abs(steady)], axis=1).max(axis=0) * inflate
    return Null(units * heavy, largest, before / heavy, farthest / (units * heavy), once, freedom)


def heavier(own: np.ndarray, drawn: np.ndarray, kinds: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """By how much the farthest of the history's windows [W, components] lie beyond what the null draws [R, components]
    let one expect, at least 1: for each component, and for all components of its kind together, the larger.

    Sums of skewed or clustered rows have heavier tails than multipliers give them; the history shows it.
    """
    factor = np.ones(own.shape[1])
    for kind in np.unique(kinds[judged]):
        members = np.flatnonzero((kinds == kind) & judged)
        factor[members] = _beyond(own[:, members].reshape(-1, 1), drawn[:, members].reshape(-1, 1), KIND_TOP)
    return np.where(judged, np.maximum(factor, _beyond(own, drawn, COMPONENT_TOP)), 1.0)


def _beyond(own: np.ndarray, drawn: np.ndarray, most: int) -> np.ndarray:
    """Mean ratio, on a log scale, of the `most` farthest of `own` [W, K] to the same quantiles of `drawn` [R, K]; [K], at least 1."""
    count = min(most, len(own))
    farthest = np.sort(own, axis=0)[-count:]
    normal = np.quantile(drawn, 1 - (np.arange(count, 0, -1) - 0.5) / len(own), axis=0)
    ratio = np.maximum(farthest, LEAST_UNIT) / np.maximum(normal, LEAST_UNIT)
    return np.maximum(1.0, np.exp(np.log(ratio).mean(axis=0)))


def _scales(rng: np.random.Generator, freedom: float, shape: tuple[int, ...]) -> np.ndarray:
    """Square roots of chi-squares over their degrees of freedom (Wilson and Hilferty, PNAS 17 (1931): a tenth of the time)."""
    bend = 2 / (9 * freedom)
    cube_root = np.maximum(1 - bend + np.sqrt(bend) * rng.standard_normal(shape), LEAST_UNIT)
    return cube_root * np.sqrt(cube_root)


def degrees_of_freedom(blocks: int, window: int, parameters: int) -> float:
    """Of a variance from all windows of `window` blocks; overlapping ones tell half as much again as disjoint ones
    (the Bartlett kernel's 3/2; Priestley, "Spectral Analysis and Time Series", 1981, table 6.1)."""
    disjoint = (blocks - parameters) / window
    return max(disjoint if window == 1 else 1.5 * disjoint, 1.0)


def _own(
    family: Family,
    own: Residuals,
    base: np.ndarray,
    steady: np.ndarray,
    linear: np.ndarray,
    stable: np.ndarray,
    units: np.ndarray,
    inflate: float,
) -> np.ndarray:
    """The history's windows in the units that they would have, had they come new: each left out of its own yardstick."""
    sizes = np.concatenate([family.linear(base), np.abs(steady)], axis=1) * inflate
    squares = np.concatenate([family.variances(base**2), steady**2], axis=1)
    target = np.concatenate([family.variances((linear**2).mean(axis=0)), (stable**2).mean(axis=0)])
    # A variance without one observation, exactly: sum of e^2 less e_w^2 / (1 - h_w) (Cook and Weisberg, 1982, 2.2).
    whole = (squares * (1 - own.leverage)[:, None]).sum(axis=0)
    others = np.maximum(whole - squares, 0) / max((1 - own.leverage).sum() - 1, 1)
    first = family.first_share
    others[:, first:] = np.maximum(others[:, first:], 1.0)
    target[first:] = np.maximum(target[first:], 1.0)
    ratio = np.sqrt(np.divide(others, target, out=np.ones(others.shape), where=target > 0))
    return sizes / np.maximum(units * ratio, LEAST_UNIT)
