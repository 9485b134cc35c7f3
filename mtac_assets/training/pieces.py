"""Pieces of the parameters: the unit in which gradients are summed, measured and applied, whoever does it.

Which worker owns what changes with the number of workers; where a tensor is cut never does. So a norm is always taken over the same
numbers in the same order, and a fused kernel sees each number at the same place of a vector: one worker and eight get the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ELEMENTS = 1 << 20
"""Of a piece at most: 4 MiB of float32. A multiple of every vector width, so that only a tensor's own end is ever a remainder."""
ALIGNMENT = 64
"""Elements to which a piece's place in a flat buffer is aligned: 256 bytes, as allocators give."""


@dataclass(frozen=True)
class Piece:
    """Elements `start` to `stop` of one parameter, row by row."""

    name: str
    parameter: nn.Parameter
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def whole(self) -> bool:
        return len(self) == self.parameter.numel()

    def of(self, tensor: Tensor) -> Tensor:
        """This part of a tensor of the parameter's shape, as a view; the tensor itself where the piece is all of it."""
        return tensor if self.whole else tensor.view(-1)[self.start : self.stop]


def cut(name: str, parameter: nn.Parameter, *, divisible: bool = True) -> list[Piece]:
    """The parameter in pieces of ELEMENTS; whole where it is not `divisible` (an optimiser that works on matrices)."""
    length = parameter.numel() if not divisible else ELEMENTS
    starts = range(0, parameter.numel(), max(1, length))
    return [Piece(name, parameter, start, min(start + length, parameter.numel())) for start in starts]


class Layout:
    """All pieces in one flat buffer, and which worker owns which: halved again and again, so that partners own neighbours."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = list(pieces)
        self.offsets = [0]
        for piece in self.pieces:
            self.offsets.append(self.offsets[-1] + -(-len(piece) // ALIGNMENT) * ALIGNMENT)

    @property
    def elements(self) -> int:
        return self.offsets[-1]

    def halves(self, rank: int, workers: int) -> list[tuple[range, range]]:
        """By level, the pieces that `rank` keeps and those that it gives to its partner `rank ^ (1 << level)`."""
        mine, levels = range(len(self.pieces)), []
        for level in range(workers.bit_length() - 1):
            middle = self._middle(mine)
            lower, upper = range(mine.start, middle), range(middle, mine.stop)
            mine, theirs = (upper, lower) if rank >> level & 1 else (lower, upper)
            levels.append((mine, theirs))
        return levels

    def owned(self, rank: int, workers: int) -> range:
        """The pieces that `rank` owns, by place."""
        levels = self.halves(rank, workers)
        return levels[-1][0] if levels else range(len(self.pieces))

    def _middle(self, span: range) -> int:
        """The place that comes nearest to parting the elements of `span` in halves."""
        start, stop = self.offsets[span.start], self.offsets[span.stop]
        return min(range(span.start, span.stop + 1), key=lambda place: abs(2 * self.offsets[place] - start - stop))

    def stretch(self, flat: Tensor, span: range) -> Tensor:
        """The part of a flat buffer that holds the pieces of `span`."""
        return flat[self.offsets[span.start] : self.offsets[span.stop]]

    def view(self, flat: Tensor, place: int, first: int = 0) -> Tensor:
        """One piece within a flat buffer that begins with the piece `first`: in the parameter's shape where it is whole, else a row."""
        piece, start = self.pieces[place], self.offsets[place] - self.offsets[first]
        row = flat[start : start + len(piece)]
        return row.view(piece.parameter.shape) if piece.whole else row

    def buffer(self) -> Tensor:
        """A flat buffer of zeros on the parameters' device."""
        device = self.pieces[0].parameter.device
        return torch.zeros(self.elements, device=device)

    def homes(self, flat: Tensor) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Every parameter with its stretch of a flat buffer, in its shape: its pieces lie one behind the other there."""
        for place, piece in enumerate(self.pieces):
            if piece.start == 0:
                start, parameter = self.offsets[place], piece.parameter
                yield parameter, flat[start : start + parameter.numel()].view(parameter.shape)

    def parameters_into(self, flat: Tensor) -> None:
        """Let every parameter live in `flat`, where it stays one tensor."""
        with torch.no_grad():
            for parameter, home in self.homes(flat):
                home.copy_(parameter)
                parameter.data = home
