"""What the loop asks of a task, and nothing else of what is learnt: lengths, batches, a loss, a validation, golden rows."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from mtac_assets.training.schedule import Schedule

MicroBatch = tuple[Tensor, ...]


class Task(Protocol):
    """Every method is a pure function of what it is given: a task has no state that a checkpoint would have to hold."""

    @property
    def schedule(self) -> Schedule:
        """Lengths, in steps and rows."""
        ...

    def initial_model(self) -> nn.Module:
        """The model before its first step, on the CPU: parameters drawn by name, constants fitted."""
        ...

    def micro_batches(self, step: int, first: int, count: int) -> list[MicroBatch]:
        """Micro-batches `first` to `first + count` of step `step` (from 0), tensors on the CPU: one worker's share of the step."""
        ...

    def loss(self, model: nn.Module, micro_batch: MicroBatch) -> Tensor:
        """The mean loss of a micro-batch that lies on the model's device."""
        ...

    def validate(self, model: nn.Module) -> dict[str, float | None]:
        """Measures by name on the validation split. The model is in evaluation mode and holds the weights that would become it."""
        ...

    def remark(self, validation: dict[str, float | None]) -> str | None:
        """A sentence about a model that learnt little; None where it learnt. LearntNothing where nobody could want it."""
        ...

    def golden(self, model: nn.Module) -> dict[str, Any]:
        """`golden.json`: a few inputs with the model's answers, by which whoever loads it can check itself."""
        ...

    def inputs_document(self) -> dict[str, Any]:
        """What of `model.json` says how an input becomes numbers."""
        ...
