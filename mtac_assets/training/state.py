"""The state of a training at a step boundary, as named tensors: what a checkpoint holds and a segment's digest covers.

The model's tensors, the optimiser's and the moving average's; randomness has no state (it is keyed by step), nor has the order of
rows. So the state and the step number decide everything that follows.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mtac_assets.spec.recipe import Training
from mtac_assets.training.errors import TrainingRefused
from mtac_assets.training.optimisation import Average, Optimizer
from mtac_assets.training.placement import Placement
from mtac_assets.training.unshardable import unshardable
from mtac_assets.training.workers import ALONE, Workers

Tensors = dict[str, Tensor]


class TrainingState:
    """Model, optimiser and average, and their way into and out of named tensors."""

    def __init__(
        self, model: nn.Module, training: Training, workers: Workers = ALONE, *, sharded: bool = False
    ) -> None:
        """`sharded`: no worker holds all weights. TrainingRefused where the recipe has what cannot be sharded."""
        if sharded and (findings := unshardable(training)):
            raise TrainingRefused(*findings)
        self.model, self.workers = model, workers
        self.optimizer = Optimizer(model, training, workers, sharded=sharded)
        self.placement: Placement = self.optimizer.placement
        self.average = Average(model, training.ema_decay) if training.ema_decay else None
        self.validates_here = sharded or workers.first
        """Whether this worker takes part when the model is asked: the first, and where none has all weights every one."""

    def tensors(self) -> Tensors:
        """A copy, on the CPU, of all of it: `model/…`, `optimizer/<parameter>/…`, `average/…`. All workers ask at the same time."""
        found: Tensors = {f"model/{name}": tensor for name, tensor in self.placement.weights(self.model).items()}
        found |= {f"optimizer/{name}": tensor for name, tensor in self.optimizer.tensors().items()}
        if self.average:
            found |= {f"average/{name}": tensor for name, tensor in self.average.tensors.items()}
        return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in sorted(found.items())}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Back to the state that `tensors()` gave. KeyError or RuntimeError where it belongs to another model."""
        parts: dict[str, Tensors] = {"model": {}, "optimizer": {}, "average": {}}
        for name, tensor in tensors.items():
            kind, _, rest = name.partition("/")
            parts[kind][rest] = tensor
        self.placement.restore(self.model, parts["model"])
        self.optimizer.restore(parts["optimizer"])
        if self.average:
            for name, tensor in self.average.tensors.items():
                tensor.copy_(parts["average"][name])

    def weights(self) -> Tensors:
        """The tensors that become the model: the average where there is one, and the model's own buffers. All workers ask at the same time."""
        found = {name: tensor.detach() for name, tensor in self.placement.weights(self.model).items()}
        if self.average:
            found |= self.average.tensors
        return {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in sorted(found.items())}


class SwappedIn:
    """Within the block the model holds the weights that would become the model (the average), and its own again after it."""

    def __init__(self, state: TrainingState) -> None:
        self._state = state
        self._own: list[Tensor] = []
        self._usable = state.placement.usable()

    def __enter__(self) -> None:
        self._usable.__enter__()
        if self._state.average:
            self._own = [parameter.data for parameter in self._state.model.parameters()]
            for parameter, averaged in zip(
                self._state.model.parameters(), self._state.average.tensors.values(), strict=True
            ):
                parameter.data = averaged
        self._state.model.eval()

    def __exit__(self, *_: object) -> None:
        for parameter, own in zip(self._state.model.parameters(), self._own, strict=False):
            parameter.data = own
        self._state.model.train()
        self._usable.__exit__(None, None, None)
