"""Sums of gradients in one fixed order: a binary tree over a step's micro-batches.

Floating-point addition is not associative, so the order is part of the result. A tree over 2**n leaves can be cut at any level into
equal subtrees: one worker that adds all of it and eight that add one subtree each, and then pairwise among themselves, do the same
additions and get the same bits.
"""

from __future__ import annotations

import torch
from torch import Tensor

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
