"""Peak bytes of tensors of one training step on one worker, found by taking the step on tensors that hold nothing (torch's fake tensors).

The very code of the trainer runs, so nothing has to be modelled. A network of identical layers is tried with one and with two of them
and the peak of each phase drawn out in a straight line: a model of a thousand million parameters takes a second, and no memory.
What it says is of tensors: libraries, allocators and fragments come on top (on a CPU 1.4 to 5.7 times as much in all on small models).
For a GPU the kernels of the CPU are counted, which keep a little more than fused ones.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtac_assets.spec.recipe import Training
    from mtac_assets.training.tokens import TokenSchema


@dataclass(frozen=True)
class Memory:
    """Bytes. `peak` is what is there at once; `working` is the peak's rest: activations, and gradients that are summed."""

    weights: int
    optimizer: int
    average: int
    state: int
    peak: int

    @property
    def working(self) -> int:
        return self.peak - self.weights - self.optimizer - self.average


@dataclass(frozen=True)
class _Dry:
    """A dry run of a network with some number of layers: bytes of each part, and the peaks of both phases."""

    weights: int
    optimizer: int
    average: int
    state: int
    learning: int
    updating: int


def estimate(schema: TokenSchema, settings: Mapping[str, Any], training: Training, workers: int) -> Memory:
    """The peak of a step of `training` on one of so many workers."""
    layers = settings["layers"]
    few = [
        dry_run(schema, {**settings, "layers": count}, training, workers)
        for count in ((1, 2) if layers > 2 else (layers,))
    ]
    if len(few) == 1:
        drawn = few[0]
    else:
        one, two = (vars(each) for each in few)
        drawn = _Dry(**{name: one[name] + (two[name] - one[name]) * (layers - 1) for name in one})
    peak = max(drawn.learning, drawn.updating)
    return Memory(drawn.weights, drawn.optimizer, drawn.average, drawn.state, peak)


def dry_run(schema: TokenSchema, settings: Mapping[str, Any], training: Training, workers: int) -> _Dry:
    """One step on fake tensors, as the first of `workers` workers takes it."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from mtac_assets.training.models import gpt
    from mtac_assets.training.state import TrainingState
    from mtac_assets.training.tasks.language import next_token_loss

    each = training.batch_size // training.micro_batch_size // workers
    on_cpu = training.model_copy(update={"device": "cpu"})
    with FakeTensorMode(), tracked() as tracker:
        state = TrainingState(gpt.build(schema, dict(settings)), on_cpu, _pretended(workers))
        average = sum(_bytes(one) for one in state.average.tensors.values()) if state.average else 0
        held = [one for group in state.optimizer.groups for ones in group.state.values() for one in ones]
        optimizer = sum(map(_bytes, held))
        weights = sum(map(_bytes, state.model.parameters()))
        fields = sum(len(group.state) for group in state.optimizer.groups) and len(state.optimizer.groups[0].state)
        whole = weights * (1 + fields + (1 if state.average else 0))
        del held
        from mtac_assets.training.optimisation import gradient_of
        from mtac_assets.training.reduction import TreeSum

        tree = TreeSum()
        parameters = state.optimizer.parameters
        # Partial sums wait for their partners: as many as the number of leaves before the last has bits.
        waiting = (each - 1).bit_length()
        sums = [[torch.zeros_like(one) for one in parameters] for _ in range(waiting)]
        state.optimizer.clear_gradients()
        tokens = torch.zeros(training.micro_batch_size, schema.sequence_length + 1, dtype=torch.long)
        state.model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=training.precision == "bfloat16"):
            loss = next_token_loss(state.model, tokens)
        loss.backward()
        del loss, sums
        learning = tracker.peak
        tree.add([gradient_of(parameter) for parameter in parameters])
        tracker.peak = tracker.live
        gradients = state.optimizer.reduced(tree.total())
        state.optimizer.clear_gradients()
        state.optimizer.step(0.1, gradients)
        if state.average:
            state.average.update(0)
        return _Dry(weights, optimizer, average, whole, learning, tracker.peak)


def _pretended(workers: int) -> Any:
    """The first of so many workers, whose partners are not there: what would be received is taken as it is."""
    from mtac_assets.training.workers import Workers

    class Pretended(Workers):
        count = workers

        def exchange(self, partner: int, *, give: Any, add_to: Any = None, into: Any = None) -> None:
            if add_to is not None:
                add_to.add_(add_to.new_empty(add_to.shape))

    return Pretended()


def _bytes(tensor: Any) -> int:
    return tensor.numel() * tensor.element_size()


class Tracker:
    """Bytes of live tensor storages, and the most there were at once."""

    def __init__(self) -> None:
        self.live = self.peak = 0
        self._known: set[int] = set()

    def note(self, tensor: Any) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        size = storage.nbytes()
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, partial(self._gone, key, size))

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


@contextmanager
def tracked() -> Iterator[Tracker]:
    """Within the block every tensor that an operation makes is counted until it is gone; tensors from before are not."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    tracker = Tracker()

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            for leaf in tree_leaves(result):
                if isinstance(leaf, torch.Tensor):
                    tracker.note(leaf)
            return result

    with Mode():
        yield tracker
