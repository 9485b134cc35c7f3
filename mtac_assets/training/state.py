"""The state of a training at a step boundary, as named tensors: what a checkpoint holds and a segment's digest covers.

The model's tensors, the optimiser's and the moving average's; randomness has no state (it is keyed by step), nor has the order of
rows. So the state and the step number decide everything that follows.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mtac_assets.spec.recipe import Training
from mtac_assets.training.optimisation import Average, Optimizer
from mtac_assets.training.workers import ALONE, Workers

Tensors = dict[str, Tensor]


class TrainingState:
    """Model, optimiser and average, and their way into and out of named tensors."""

    def __init__(self, model: nn.Module, training: Training, workers: Workers = ALONE) -> None:
        self.model, self.workers = model, workers
        self.optimizer = Optimizer(model, training, workers)
        self.average = Average(model, training.ema_decay) if training.ema_decay else None

    def tensors(self) -> Tensors:
        """A copy, on the CPU, of all of it: `model/…`, `optimizer/<parameter>/…`, `average/…`. All workers ask at the same time."""
        found: Tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
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
        self.model.load_state_dict(parts["model"])
        self.optimizer.restore(parts["optimizer"])
        if self.average:
            for name, tensor in self.average.tensors.items():
                tensor.copy_(parts["average"][name])

    def weights(self) -> Tensors:
        """The tensors that become the model: the average where there is one, and the model's own buffers."""
        found = {name: tensor.detach() for name, tensor in self.model.state_dict().items()}
        if self.average:
            found |= self.average.tensors
        return {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in sorted(found.items())}


class SwappedIn:
    """Within the block the model holds the weights that would become the model (the average), and its own again after it."""

    def __init__(self, state: TrainingState) -> None:
        self._state = state
        self._own: list[Tensor] = []

    def __enter__(self) -> None:
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
