"""Whose turn it is: sources with integer weights, laid out over an endless row of places.

In every period of W places source j comes exactly w_j times (W is the sum of the weights), and after any number n of places it
came n * w_j / W times to within less than one. One period is laid out when a stage is opened, by Tijdeman's rule for the chairman
assignment problem: the m-th turn of j may come once its due share is 1/(2k-2) above m-1, and of those that may the one whose
time runs out first has the turn (k sources); that keeps every deviation at 1 - 1/(2k-2) or below. From then on a place is a
remainder and a look-up, forwards and backwards, and nothing is kept of the places that went by.

A stage of a curriculum is a period of its own from some place on; turns of a source go on counting across stages, so that each
source's own order is the same whatever the others do.

Tried: a tree of two-way Bresenham lines needs no period, but its deviations add up along a branch, to 1.5 where weights grow like
Fibonacci numbers.

Source: R. Tijdeman, "The chairman assignment problem", Discrete Mathematics 32(3), 1980.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np


@dataclass(frozen=True)
class Period:
    """One period. `turns` int16 [W]: the source of each place; `positions[j]` int64 [w_j]: the places of source j, in order."""

    weights: tuple[int, ...]
    turns: np.ndarray
    positions: tuple[np.ndarray, ...]

    @property
    def length(self) -> int:
        return len(self.turns)

    def counts(self, places: int) -> tuple[int, ...]:
        """How often each source comes in the first `places` places of the endless repetition."""
        rounds, rest = divmod(places, self.length)
        return tuple(
            rounds * weight + int(np.searchsorted(where, rest))
            for weight, where in zip(self.weights, self.positions, strict=True)
        )


def weights_of(ratios: Sequence[Fraction]) -> tuple[int, ...]:
    """The smallest integer weights in these proportions; the ratios add up to 1."""
    assert sum(ratios) == 1, "the ratios of a mix add up to 1"
    whole = lcm(*(ratio.denominator for ratio in ratios))
    return tuple(int(ratio * whole) for ratio in ratios)


def lay_out(weights: Sequence[int]) -> Period:
    """One period of sources with these weights, each 0 or more and not all 0. O(W log k), W the sum of the weights."""
    total, present = sum(weights), [place for place, weight in enumerate(weights) if weight]
    assert total > 0, "a mix has a source with a share"
    turns = np.full(total, present[0], dtype=np.int16)
    if len(present) > 1:
        slack = 2 * len(present) - 2
        released: list[list[tuple[int, int]]] = [[] for _ in range(total + 1)]
        for source in present:
            weight = weights[source]
            for turn in range(weight):
                first = -(-(turn * slack + 1) * total // (slack * weight))
                last = ((turn + 1) * slack - 1) * total // (slack * weight) + 1
                released[first].append((last, source))
        waiting: list[tuple[int, int]] = []
        for place in range(total):
            for entry in released[place + 1]:
                heapq.heappush(waiting, entry)
            turns[place] = heapq.heappop(waiting)[1]
    positions = tuple(np.flatnonzero(turns == source) for source in range(len(weights)))
    return Period(tuple(weights), turns, positions)


@dataclass(frozen=True)
class Stage:
    """A period from place `start` on; `before[j]` turns of source j lie before it."""

    start: int
    period: Period
    before: tuple[int, ...]


@dataclass(frozen=True)
class Interleave:
    """The endless row of places, in stages."""

    stages: tuple[Stage, ...]

    @classmethod
    def of(cls, weights: Mapping[int, Sequence[int]]) -> Interleave:
        """From the weights of all sources by the place that each stage begins at; the first begins at 0."""
        starts = sorted(weights)
        assert starts[:1] == [0], "the first stage begins at place 0"
        stages = [Stage(0, lay_out(weights[0]), (0,) * len(weights[0]))]
        for start in starts[1:]:
            last = stages[-1]
            went = last.period.counts(start - last.start)
            before = tuple(a + b for a, b in zip(last.before, went, strict=True))
            stages.append(Stage(start, lay_out(weights[start]), before))
        return cls(tuple(stages))

    def counts(self, place: int) -> tuple[int, ...]:
        """How many turns each source has before `place`."""
        stage = self._stage(place)
        return tuple(a + b for a, b in zip(stage.before, stage.period.counts(place - stage.start), strict=True))

    def turns(self, place: int, count: int) -> np.ndarray:
        """int16 [count]: the source at `place` and those that follow."""
        result = np.empty(count, dtype=np.int16)
        done = 0
        while done < count:
            stage = self._stage(place + done)
            later = [other.start for other in self.stages if other.start > stage.start]
            upto = min(count, later[0] - place) if later else count
            first = (place + done - stage.start) % stage.period.length
            turns = stage.period.turns
            result[done:upto] = np.resize(np.concatenate((turns[first:], turns[:first])), upto - done)
            done = upto
        return result

    def place(self, source: int, turn: int) -> int | None:
        """The place of the `turn`-th turn (from 0) of `source`; None where the source has fewer."""
        for stage, after in zip(self.stages, (*self.stages[1:], None), strict=True):
            if turn >= stage.before[source] and (after is None or turn < after.before[source]):
                weight = stage.period.weights[source]
                if weight == 0:
                    return None
                rounds, rank = divmod(turn - stage.before[source], weight)
                return stage.start + rounds * stage.period.length + int(stage.period.positions[source][rank])
        return None

    def _stage(self, place: int) -> Stage:
        return next(stage for stage in reversed(self.stages) if stage.start <= place)
