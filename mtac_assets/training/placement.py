"""Where weights, gradients and the optimiser's state lie: all of the weights on every worker, or on each its own part of them.

Replicated, a worker holds all weights, sums the gradients of its own micro-batches, and owns the optimiser's state of some pieces.
Sharded, it also holds between uses only the weights of the pieces that it owns: a block's weights come together before the block is
used, forward and again backward, and go after it, and its gradients are summed over the workers as soon as they are there. What does
not fit one device so fits several.

Both give the same bits. The tree of sums (`reduction`) over a step's micro-batches is cut the other way: replicated, a worker takes
neighbouring micro-batches, a subtree of its own, and the upper levels are between workers; sharded, the workers take neighbours of
each other, the lower levels are between workers and the upper ones within each. Source of the way of holding weights: Rajbhandari et
al., "ZeRO: Memory optimizations toward training trillion parameter models" (2020), stage 3; Zhao et al., "PyTorch FSDP" (2023).
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from mtac_assets.training.pieces import Layout, Piece
from mtac_assets.training.reduction import TreeSum, all_gather, reduce_scatter
from mtac_assets.training.workers import Workers


class Placement(Protocol):
    """Places are those of `pieces`, which are the same list, cut alike, on every worker and in every placement."""

    @property
    def pieces(self) -> Sequence[Piece]: ...

    def owned_by(self, rank: int) -> Sequence[int]:
        """The places of the pieces whose state and update a worker has."""
        ...

    def weight(self, place: int) -> Tensor:
        """A piece that this worker owns, to be updated in place."""
        ...

    def share(self, micro_batches: int) -> range:
        """This worker's micro-batches of a step. TrainingRefused where they cannot be shared out."""
        ...

    def in_order(self, by_worker: Sequence[Sequence[float]]) -> list[float]:
        """A number for each of a step's micro-batches, in their order, from each worker's for its share."""
        ...

    def before(self) -> None:
        """A micro-batch begins."""
        ...

    def after(self) -> None:
        """A micro-batch has left its gradients in the parameters: they are added to the step's sum, and cleared."""
        ...

    def summed(self) -> list[Tensor]:
        """Everyone's sum over the step, of the pieces that this worker owns, in their order. To be asked once a step."""
        ...

    def updated(self) -> None:
        """The owned pieces have new values."""
        ...

    @contextmanager
    def usable(self) -> Generator[None]:
        """Within the block the network can be asked; all workers ask it, and alike."""
        ...

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """The network's state by name, whole. All workers ask at the same time; valid until the next step."""
        ...

    def restore(self, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Back to what `weights` gave."""
        ...

    def whole(self, held: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """From a tensor for each owned piece among some that all workers name alike, to one for each of those pieces."""
        ...

    def storages(self) -> list[Any]:
        """Storages whose size changes during a step."""
        ...


class Replicated:
    """All weights on every worker. Alone, everything is one's own."""

    def __init__(self, pieces: Sequence[Piece], workers: Workers) -> None:
        self.pieces, self.workers = list(pieces), workers
        self.layout = Layout(pieces)
        self._parameters = _parameters(pieces)
        self._tree = TreeSum()
        self._flat = self._flat_gradients = None
        if workers.count > 1:
            self._flat, self._flat_gradients = self.layout.buffer(), self.layout.buffer()
            self.layout.parameters_into(self._flat)

    def owned_by(self, rank: int) -> range:
        return self.layout.owned(rank, self.workers.count)

    def weight(self, place: int) -> Tensor:
        piece = self.pieces[place]
        return piece.of(piece.parameter.detach())

    def share(self, micro_batches: int) -> range:
        each = self.workers.each(micro_batches)
        return range(self.workers.rank * each, (self.workers.rank + 1) * each)

    def in_order(self, by_worker: Sequence[Sequence[float]]) -> list[float]:
        return [one for numbers in by_worker for one in numbers]

    def before(self) -> None:
        _clear(self._parameters)

    def after(self) -> None:
        self._tree.add([gradient_of(parameter) for parameter in self._parameters])
        _clear(self._parameters)

    def summed(self) -> list[Tensor]:
        gradients = self._tree.total()
        whole = {id(parameter): gradient for parameter, gradient in zip(self._parameters, gradients, strict=True)}
        if self._flat_gradients is None:
            return [piece.of(whole[id(piece.parameter)].contiguous()) for piece in self.pieces]
        for parameter, home in self.layout.homes(self._flat_gradients):
            home.copy_(whole[id(parameter)])
        reduce_scatter(self._flat_gradients, self.layout, self.workers)
        return [self.layout.view(self._flat_gradients, place) for place in self.owned_by(self.workers.rank)]

    def updated(self) -> None:
        if self._flat is not None:
            all_gather(self._flat, self.layout, self.workers)

    @contextmanager
    def usable(self) -> Generator[None]:
        yield

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        return dict(model.state_dict())

    def restore(self, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        model.load_state_dict(dict(tensors))

    def whole(self, held: Mapping[int, Tensor]) -> dict[int, Tensor]:
        if self._flat_gradients is None:
            return dict(held)
        # The last step's gradients are of no more use, and their buffer has the right size.
        for place, tensor in held.items():
            self.layout.view(self._flat_gradients, place).copy_(tensor)
        all_gather(self._flat_gradients, self.layout, self.workers)
        views = {place: self.layout.view(self._flat_gradients, place) for place in range(len(self.pieces))}
        return {place: view.to("cpu", copy=True) for place, view in views.items()}

    def storages(self) -> list[Any]:
        return []


class Sharded:
    """On each worker the weights of the pieces that it owns. The model names its blocks (`blocks_to_shard() -> list[Module]`), each
    used once in a forward pass; what belongs to none of them, or to several, is one unit more, whole while a micro-batch lasts."""

    def __init__(self, model: nn.Module, pieces: Sequence[Piece], workers: Workers) -> None:
        self.pieces, self.workers = list(pieces), workers
        blocks = list(getattr(model, "blocks_to_shard", list)())
        of_parameter: dict[int, int] = {}
        for number, block in enumerate(blocks):
            for parameter in block.parameters():
                key = id(parameter)
                of_parameter[key] = number if of_parameter.get(key, number) == number else len(blocks)
        places: list[list[int]] = [[] for _ in range(len(blocks) + 1)]
        for place, piece in enumerate(self.pieces):
            places[of_parameter.get(id(piece.parameter), len(blocks))].append(place)
        self._units = [_Unit(self.pieces, own, workers) for own in places]
        self._rest = self._units[-1]
        self._unit_of = {place: unit for unit in self._units for place in unit.places}
        for unit, block in zip(self._units, blocks, strict=False):
            block.register_forward_pre_hook(_before_forward(unit))
            block.register_forward_hook(_after_forward(unit))
        self._names = {name: id(one) for name, one in model.named_parameters(remove_duplicate=False)}

    def owned_by(self, rank: int) -> list[int]:
        return [place for unit in self._units for place in unit.owned_by(rank)]

    def weight(self, place: int) -> Tensor:
        return self._unit_of[place].own_piece(place)

    def share(self, micro_batches: int) -> range:
        self.workers.each(micro_batches)
        return range(self.workers.rank, micro_batches, self.workers.count)

    def in_order(self, by_worker: Sequence[Sequence[float]]) -> list[float]:
        return [one for numbers in zip(*by_worker, strict=True) for one in numbers]

    def before(self) -> None:
        for unit in self._units:
            unit.expect()
        self._rest.gather()

    def after(self) -> None:
        for unit in self._units:  # the rest, and where a parameter got no gradient
            unit.finish()

    def summed(self) -> list[Tensor]:
        return [gradient for unit in self._units for gradient in unit.summed()]

    def updated(self) -> None:
        """They are brought together when they are used."""

    @contextmanager
    def usable(self) -> Generator[None]:
        self._rest.gather()
        try:
            yield
        finally:
            self._rest.release()

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        copies: dict[int, Tensor] = {}
        for unit in self._units:
            unit.gather()
            copies |= {id(one): one.detach().to("cpu", copy=True) for one in unit.parameters}
            unit.release()
        return model.state_dict() | {name: copies[key] for name, key in self._names.items() if key in copies}

    def restore(self, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        own = model.state_dict()
        if missing := own.keys() ^ tensors.keys():
            raise KeyError(", ".join(sorted(missing)))
        for unit in self._units:
            for place in unit.owned_by(self.workers.rank):
                piece = self.pieces[place]
                unit.own_piece(place).copy_(piece.of(tensors[piece.name]))
        parted = {id(piece.parameter) for piece in self.pieces}
        for name, tensor in own.items():  # buffers, and parameters that are not trained
            if self._names.get(name) not in parted:
                tensor.copy_(tensors[name])

    def whole(self, held: Mapping[int, Tensor]) -> dict[int, Tensor]:
        return {place: tensor for unit in self._units for place, tensor in unit.whole(held).items()}

    def storages(self) -> list[Any]:
        return [unit.storage for unit in self._units if unit.places]


class _Unit:
    """Parameters that come together and go together. `own` holds this worker's stretch of their layout."""

    def __init__(self, pieces: Sequence[Piece], places: Sequence[int], workers: Workers) -> None:
        self.places, self.workers = list(places), workers
        self.layout = Layout([pieces[place] for place in places])
        self.parameters = _parameters(self.layout.pieces)
        self._local = {place: number for number, place in enumerate(places)}
        self._mine = self.layout.owned(workers.rank, workers.count)
        self._tree, self._expected = TreeSum(), 0
        self._here = True
        if not places:
            return
        self._flat = self.layout.buffer()
        self.layout.parameters_into(self._flat)
        self.storage = self._flat.untyped_storage()
        self._bytes = self.storage.nbytes()
        self.own = self.layout.stretch(self._flat, self._mine).clone()
        self.release()
        for parameter in self.parameters:
            parameter.register_post_accumulate_grad_hook(self._arrived)

    def owned_by(self, rank: int) -> list[int]:
        return [self.places[number] for number in self.layout.owned(rank, self.workers.count)]

    def own_piece(self, place: int) -> Tensor:
        return self.layout.view(self.own, self._local[place], self._mine.start)

    def gather(self) -> None:
        """All weights of the unit, from those who own them. Nothing where they are here."""
        if self._here or not self.places:
            return
        self._here = True
        self.storage.resize_(self._bytes)
        with torch.no_grad():
            self.layout.stretch(self._flat, self._mine).copy_(self.own)
            all_gather(self._flat, self.layout, self.workers)

    def release(self) -> None:
        """Their memory; what autograd kept of them sees them again after the next `gather`."""
        if self.places:
            self.storage.resize_(0)
            self._here = False

    def expect(self) -> None:
        self._expected = len(self.parameters)

    def finish(self) -> None:
        if self._expected:
            self._expected = 0
            self._reduce()
        self.release()

    def summed(self) -> list[Tensor]:
        if not self.places:
            return []
        (own,) = self._tree.total()
        return [self.layout.view(own, number, self._mine.start) for number in self._mine]

    def whole(self, held: Mapping[int, Tensor]) -> dict[int, Tensor]:
        if not self.places:
            return {}
        flat = self.layout.buffer()
        for number in self._mine:
            if self.places[number] in held:
                self.layout.view(flat, number).copy_(held[self.places[number]])
        all_gather(flat, self.layout, self.workers)
        return {place: self.layout.view(flat, number).to("cpu", copy=True) for place, number in self._local.items()}

    def _arrived(self, _: Tensor) -> None:
        self._expected -= 1
        if self._expected == 0:
            self._reduce()
            self.release()

    @torch.no_grad()
    def _reduce(self) -> None:
        """This micro-batch's gradients, summed with those of the workers' neighbouring ones."""
        flat = self.layout.buffer()
        for parameter, home in self.layout.homes(flat):
            home.copy_(gradient_of(parameter))
            parameter.grad = None
        reduce_scatter(flat, self.layout, self.workers)
        self._tree.add([self.layout.stretch(flat, self._mine).clone()])


def gradient_of(parameter: Tensor) -> Tensor:
    """A parameter that got no gradient counts as one with a gradient of zero."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _parameters(pieces: Sequence[Piece]) -> list[nn.Parameter]:
    """Each parameter once, in the order of its first piece."""
    return [piece.parameter for piece in pieces if piece.start == 0]


def _clear(parameters: Sequence[nn.Parameter]) -> None:
    for parameter in parameters:
        parameter.grad = None


def _before_forward(unit: _Unit) -> Any:
    def hook(_module: nn.Module, _arguments: object) -> None:
        unit.gather()

    return hook


def _after_forward(unit: _Unit) -> Any:
    """Gone after the block's use, and back as soon as a gradient of what it gave is known."""

    def back(_gradient: Tensor) -> None:
        unit.gather()

    def hook(_module: nn.Module, _arguments: object, output: Any) -> None:
        unit.release()
        for tensor in output if isinstance(output, (tuple, list)) else (output,):
            if isinstance(tensor, Tensor) and tensor.requires_grad:
                tensor.register_hook(back)

    return hook
