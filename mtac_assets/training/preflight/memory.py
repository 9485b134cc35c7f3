"""Peak bytes of tensors of one training step on one worker, found by taking the step on tensors that hold nothing (torch's fake tensors).

The very code of the trainer runs, so nothing has to be modelled. A network of identical layers is tried with one and with two of them
and the peak of each phase drawn out in a straight line: a model of a thousand million parameters takes a second, and no memory.
What it says is of tensors: libraries, allocators and fragments come on top (on a CPU 1.4 to 5.7 times as much in all on small models).
For a GPU the kernels of the CPU are counted, which keep a little more than fused ones.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
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


def estimate(
    schema: TokenSchema, settings: Mapping[str, Any], training: Training, workers: int, *, sharded: bool = False
) -> Memory:
    """The peak of a step of `training` on one of so many workers."""
    layers = settings["layers"]
    few = [
        dry_run(schema, {**settings, "layers": count}, training, workers, sharded=sharded)
        for count in ((1, 2) if layers > 2 else (layers,))
    ]
    if len(few) == 1:
        drawn = few[0]
    else:
        one, two = (vars(each) for each in few)
        drawn = _Dry(**{name: one[name] + (two[name] - one[name]) * (layers - 1) for name in one})
    peak = max(drawn.learning, drawn.updating)
    return Memory(drawn.weights, drawn.optimizer, drawn.average, drawn.state, peak)


def dry_run(
    schema: TokenSchema, settings: Mapping[str, Any], training: Training, workers: int, *, sharded: bool = False
) -> _Dry:
    """One step on fake tensors, as the first of `workers` workers takes it."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    from mtac_assets.training.models import gpt
    from mtac_assets.training.state import TrainingState
    from mtac_assets.training.tasks.language import next_token_loss

    each = training.batch_size // training.micro_batch_size // workers
    on_cpu = training.model_copy(update={"device": "cpu"})
    with FakeTensorMode(), tracked() as tracker:
        state = TrainingState(gpt.build(schema, dict(settings)), on_cpu, _pretended(workers), sharded=sharded)
        placement = state.placement
        average = sum(_bytes(one) for one in state.average.tensors.values()) if state.average else 0
        held = [one for group in state.optimizer.groups for ones in group.state.values() for one in ones]
        optimizer = sum(map(_bytes, held))
        whole_weights = sum(map(_bytes, state.model.parameters()))
        weights = whole_weights // workers if sharded else whole_weights
        fields = sum(len(group.state) for group in state.optimizer.groups) and len(state.optimizer.groups[0].state)
        whole = whole_weights * (1 + fields + (1 if state.average else 0))
        del held
        # Partial sums wait for their partners: as many as the number of leaves before the last has bits.
        waiting = (each - 1).bit_length()
        summed = [placement.weight(place) for place in state.optimizer.owned] if sharded else state.model.parameters()
        sums = [[torch.zeros_like(one) for one in summed] for _ in range(waiting)]
        del summed
        tracker.watched = placement.storages()
        tracker.peak = tracker.look()
        placement.before()
        tokens = torch.zeros(training.micro_batch_size, schema.sequence_length + 1, dtype=torch.long)
        state.model.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=training.precision == "bfloat16"):
            loss = next_token_loss(state.model, tokens)
        loss.backward()
        del loss, sums
        learning = tracker.peak
        placement.after()
        tracker.peak = tracker.look()
        state.optimizer.step(0.1, placement.summed())
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
        self.watched: Sequence[Any] = ()
        """Storages whose size changes."""
        self._known: dict[int, int] = {}

    def note(self, tensor: Any) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._known:
            self._known[key] = storage.nbytes()
            self.live += self._known[key]
            weakref.finalize(storage, partial(self._gone, key))
        self.peak = max(self.peak, self.look())

    def look(self) -> int:
        """Bytes that are live now."""
        for storage in self.watched:
            key, size = storage._cdata, storage.nbytes()
            self.live += size - self._known.get(key, 0)
            self._known[key] = size
        return self.live

    def _gone(self, key: int) -> None:
        self.live -= self._known.pop(key, 0)


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
