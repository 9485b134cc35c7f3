"""A small world: days of rows with numbers, words, nulls and dependence between columns, and one reference of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from mtac_assets.monitoring.drift.reference import Block, Reference, build
from mtac_assets.monitoring.drift.rows import Categories, Rows
from mtac_assets.spec.recipe import DriftTrigger

DAYS, ROWS = 60, 300
WORDS = ("ash", "birch", "cedar", "elm")


def a_day(seed: int, rows: int = ROWS, shift: float = 0.0) -> Rows:
    rng = np.random.default_rng([7, seed])
    base = rng.normal(size=rows)
    numeric = {
        "plain": (rng.normal(size=rows) + shift).astype(np.float32),
        "tied": (0.8 * base + 0.6 * rng.normal(size=rows)).astype(np.float32),
        "base": base.astype(np.float32),
        "holed": np.where(rng.random(rows) < 0.1, np.nan, rng.exponential(size=rows)).astype(np.float32),
        "level": rng.integers(0, 4, rows).astype(np.float32),
        "constant": np.full(rows, 2.5, dtype=np.float32),
        "empty": np.full(rows, np.nan, dtype=np.float32),
    }
    words = Categories(np.where(rng.random(rows) < 0.05, -1, rng.integers(0, 4, rows)), WORDS)
    score = 1 / (1 + np.exp(-base))
    return Rows(numeric, {"word": words}, score, {"tail": (int(rng.binomial(rows, 0.02)), rows)})


def a_block(seed: int, rows: Rows | None = None, slot: int | None = None) -> Block:
    return Block(f"2024-{1 + seed // 28:02d}-{1 + seed % 28:02d}", a_day(seed) if rows is None else rows, slot)


@dataclass(frozen=True)
class World:
    reference: Reference
    trigger: DriftTrigger
    day: Callable[..., Rows]
    block: Callable[..., Block]


@pytest.fixture(scope="session")
def world() -> World:
    return World(build([a_block(seed) for seed in range(DAYS)]), DriftTrigger(resamples=500), a_day, a_block)
