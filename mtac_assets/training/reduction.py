"""Sums of gradients in one fixed order: a binary tree over a step's micro-batches, within a worker and between workers.

Floating-point addition is not associative, so the order is part of the result. A tree over 2**n leaves can be cut at any level into
equal subtrees: one worker that adds all of it and eight that add one subtree each, and then pairwise among themselves, do the same
additions and get the same bits.

Between workers the upper levels of the tree are recursive halving: at each level two partners swap halves of what they hold, and each
adds its own to what came (a + b and b + a are the same bits). Then each owns the whole sum of its part, applies it, and the parts come
together by recursive doubling, the same way back. As much is sent as by a ring's all-reduce, in log2(workers) rounds. Source: Thakur,
Rabenseifner and Gropp, "Optimization of collective communication operations in MPICH" (2005), section 4.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mtac_assets.training.pieces import Layout
from mtac_assets.training.workers import Workers

Gradients = list[Tensor]


class TreeSum:
    """Adds the micro-batches of one step as they come. Keeps one partial sum for each level: log2(k) + 1 copies at most."""

    def __init__(self) -> None:
        self._partial: list[tuple[int, Gradients]] = []

    def add(self, gradients: Gradients) -> None:
        """Take over `gradients` (they are changed in place later) as the next leaf."""
        leaves = 1
        while self._partial and self._partial[-1][0] == leaves:
            _, left = self._partial.pop()
            torch._foreach_add_(left, gradients)  # pyright: ignore[reportPrivateImportUsage]
            gradients, leaves = left, leaves * 2
        self._partial.append((leaves, gradients))

    def total(self) -> Gradients:
        """The sum; the number of leaves must have been a power of two."""
        assert len(self._partial) == 1, "a step's micro-batches are a power of two"
        return self._partial.pop()[1]


def reduce_scatter(flat: Tensor, layout: Layout, workers: Workers) -> None:
    """Sum `flat` over all workers in the tree's order; afterwards only the stretch that this worker owns is the sum."""
    for level, (mine, theirs) in enumerate(layout.halves(workers.rank, workers.count)):
        partner = workers.rank ^ (1 << level)
        workers.exchange(partner, give=layout.stretch(flat, theirs), add_to=layout.stretch(flat, mine))


def all_gather(flat: Tensor, layout: Layout, workers: Workers) -> None:
    """Each worker has its own stretch of `flat`; afterwards all have all of it."""
    for level, (mine, theirs) in reversed(list(enumerate(layout.halves(workers.rank, workers.count)))):
        partner = workers.rank ^ (1 << level)
        workers.exchange(partner, give=layout.stretch(flat, mine), into=layout.stretch(flat, theirs))
