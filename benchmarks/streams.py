"""Synthetic streams of rows for the drift benchmark: 20 columns with the ugliness of real ones, and what may happen to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mtac_assets.monitoring.drift.reference import Block
from mtac_assets.monitoring.drift.rows import Categories, Rows

NUMERIC, KINDS = 15, (2, 4, 8, 30, 300)
LOADINGS = np.random.default_rng(99).normal(0, 0.6, (3, NUMERIC)).astype(np.float32)
NULLS = np.array([0.002, 0.01, 0.05, 0.3, 0.9])
RHO, WARM_UP = 0.9, 200


def days(rng: np.random.Generator, rows: int, count: int, kind: str, first: int = 0) -> list[Block]:
    """`count` days of `rows` rows: "iid"; "autocorrelated" (each column AR(1), rho 0.9, from row to row); or "seasonal"
    (that, with a daily and a weekly cycle of half a sigma each)."""
    total, width = rows * count, NUMERIC + len(KINDS)
    factors = _noise(rng, total, 3, kind)
    own = _noise(rng, total, width, kind)
    if kind == "seasonal":
        at, phase = np.arange(total)[:, None], np.linspace(0, 6, width)
        cycle = np.sin(2 * np.pi * (at % rows) / rows + phase)
        cycle += np.sin(2 * np.pi * ((first + at // rows) % 7) / 7 + 2 * phase)
        own += 0.5 * cycle.astype(np.float32)
    x = factors @ LOADINGS + 0.8 * own[:, :NUMERIC]
    x[:, 1], x[:, 2], x[:, 3], x[:, 4] = np.exp(x[:, 1]), x[:, 2] ** 3, np.rint(2 * x[:, 3]), x[:, 4] > 1
    x[:, 5:10][rng.random((total, 5)) < NULLS] = np.nan
    codes = [_codes(own[:, NUMERIC + place], kinds) for place, kinds in enumerate(KINDS)]
    return [
        Block(
            f"{first + day:05d}",
            Rows(
                {f"x{n:02d}": x[at, n] for n in range(NUMERIC)},
                {f"c{n}": Categories(codes[n][at], tuple(map(str, range(KINDS[n])))) for n in range(len(KINDS))},
            ),
            (first + day) % 7,
        )
        for day, at in ((day, slice(day * rows, (day + 1) * rows)) for day in range(count))
    ]


def _noise(rng: np.random.Generator, total: int, width: int, kind: str) -> np.ndarray:
    if kind == "iid":
        return rng.standard_normal((total, width), dtype=np.float32)
    from scipy.signal import lfilter

    fresh = rng.standard_normal((total + WARM_UP, width), dtype=np.float32)
    return lfilter([np.sqrt(1 - RHO**2)], [1, -RHO], fresh, axis=0)[WARM_UP:].astype(np.float32)


def _codes(values: np.ndarray, kinds: int) -> np.ndarray:
    """Categories of very unequal shares, by where a normal value lies."""
    from scipy.special import ndtri

    shares = np.sort(np.random.default_rng(kinds).gamma(0.7, 1, kinds))[::-1]
    return np.searchsorted(ndtri(np.cumsum(shares)[:-1] / shares.sum()), values)


def _on(change: Callable[[np.random.Generator, np.ndarray], np.ndarray]) -> Callable:
    def apply(rng: np.random.Generator, rows: Rows) -> Rows:
        return replace(rows, numeric={**rows.numeric, "x00": change(rng, rows.numeric["x00"])})

    return apply


def _new_category(rng: np.random.Generator, rows: Rows) -> Rows:
    held = rows.categorical["c2"]
    codes = np.where(rng.random(len(held.codes)) < 0.02, len(held.values), held.codes)
    return replace(rows, categorical={**rows.categorical, "c2": Categories(codes, (*held.values, "unheard of"))})


SIGMA = float(np.sqrt((LOADINGS[:, 0] ** 2).sum() + 0.64))
CHANGES: dict[str, Callable[[np.random.Generator, Rows], Rows]] = {
    "shift of 0.2 σ": _on(lambda rng, x: x + 0.2 * SIGMA),
    "shift of 0.4 σ": _on(lambda rng, x: x + 0.4 * SIGMA),
    "shift of 0.8 σ": _on(lambda rng, x: x + 0.8 * SIGMA),
    "σ times 1.3": _on(lambda rng, x: 1.3 * x),
    "2 % contamination at 6 σ": _on(lambda rng, x: np.where(rng.random(len(x)) < 0.02, 6 * SIGMA, x)),
    "3 % nulls where none were": _on(lambda rng, x: np.where(rng.random(len(x)) < 0.03, np.nan, x)),
    "new category, 2 %": _new_category,
    "permuted column": _on(lambda rng, x: rng.permutation(x)),
}
