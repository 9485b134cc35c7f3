"""The trace of a few micro-steps: a digest of every module's output, every gradient, every parameter, in order. What a probe compares."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mtac_assets.training.begin import begin
from mtac_assets.training.inputs import Inputs
from mtac_assets.training.loop import train_step
from mtac_assets.training.tensors import tensor_digest


def trace(inputs: Inputs, steps: int) -> list[dict[str, Any]]:
    """Entries `{"step", "phase", "name", "operation", "digest"}`, in the order in which they came to be.

    Phases: `initial` (parameters and constants), `forward` (a module's output, named by its place in the model), `backward` (a
    gradient), `update` (a parameter after the optimiser).
    """
    beginning = begin(inputs)
    model = beginning.state.model
    model.train()
    entries: list[dict[str, Any]] = []
    step = -1

    def enter(phase: str, name: str, operation: str, tensor: Tensor) -> None:
        entries.append(
            {
                "step": step,
                "phase": phase,
                "name": name,
                "operation": operation,
                "digest": tensor_digest(tensor.detach()),
            }
        )

    def hook(name: str, module: nn.Module) -> None:
        def after(_: nn.Module, __: Any, output: Any) -> None:
            for position, tensor in enumerate(output if isinstance(output, (tuple, list)) else (output,)):
                if isinstance(tensor, Tensor):
                    enter("forward", f"{name or 'model'}[{position}]", type(module).__name__, tensor)

        module.register_forward_hook(after)

    operations = {name: type(module).__name__ for name, module in model.named_modules()}
    for name, tensor in model.state_dict().items():
        enter("initial", name, operations[name.rpartition(".")[0]], tensor)
    for name, module in model.named_modules():
        hook(name, module)
    for name, parameter in model.named_parameters():
        owner = operations[name.rpartition(".")[0]]
        parameter.register_hook(lambda gradient, name=name, owner=owner: enter("backward", name, owner, gradient))
    for step in range(min(steps, beginning.task.schedule.steps)):
        train_step(beginning.state, beginning.task, inputs.resolved.recipe.training, step)
        for name, parameter in model.named_parameters():
            enter("update", name, beginning.state.optimizer.kind, parameter)
    return entries
