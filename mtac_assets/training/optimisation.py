"""The optimiser as the recipe asks for it, its learning rate at each step, and the moving average of the weights.

The arithmetic is torch's own fused kernels. Their wrapper `torch.optim` is left out: making one imports torch's compiler (1.5 s of
processor time for each training, and for each segment of a reproduction), and its state is harder to carry than named tensors.
A test holds that both do the same, bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtac_assets.spec.recipe import Training

BETAS = (0.9, 0.999)
EPSILON = 1e-8
MOMENTUM = 0.9
_FIELDS = {"adamw": ("exp_avg", "exp_avg_sq", "step"), "adam": ("exp_avg", "exp_avg_sq", "step"), "sgd": ("momentum",)}


@dataclass(frozen=True)
class Group:
    """Parameters with one weight decay, and their state: field to tensors, in the parameters' order."""

    names: list[str]
    parameters: list[nn.Parameter]
    weight_decay: float
    state: dict[str, list[Tensor]]


class Optimizer:
    """AdamW (Loshchilov and Hutter, 2019), Adam (decay added to the gradient), or SGD with momentum 0.9."""

    def __init__(self, model: nn.Module, training: Training) -> None:
        """Weight decay reaches matrices only: what scales, shifts or embeds a member or a feature is not pulled to zero.

        A model may name its matrices itself (`decayed_parameters() -> list[Parameter]`); otherwise those of two dimensions or more.
        """
        self.kind = training.optimizer
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        chosen = getattr(model, "decayed_parameters", None)
        decayed = {id(p) for p in (chosen() if chosen else [p for p in named.values() if p.ndim >= 2])}
        parts = (
            ({name: p for name, p in named.items() if id(p) in decayed}, training.weight_decay),
            ({name: p for name, p in named.items() if id(p) not in decayed}, 0.0),
        )
        self.groups = [self._group(part, decay) for part, decay in parts if part]

    def _group(self, named: dict[str, nn.Parameter], weight_decay: float) -> Group:
        state = {
            field: [
                torch.zeros((), device=p.device) if field == "step" else torch.zeros_like(p) for p in named.values()
            ]
            for field in _FIELDS[self.kind]
        }
        return Group(list(named), list(named.values()), weight_decay, state)

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.groups for parameter in group.parameters]

    def tensors(self) -> dict[str, Tensor]:
        """`<parameter>/<field>` to the live state tensors."""
        return {
            f"{name}/{field}": tensor
            for group in self.groups
            for field, tensors in group.state.items()
            for name, tensor in zip(group.names, tensors, strict=True)
        }

    def clear_gradients(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, rate: float) -> None:
        """One step with learning rate `rate`. A parameter that got no gradient counts as one with a gradient of zero."""
        for group in self.groups:
            gradients = [gradient_of(parameter) for parameter in group.parameters]
            if self.kind == "sgd":
                self._momentum_step(group, gradients, rate)
            else:
                self._adam_step(group, gradients, rate)

    def _adam_step(self, group: Group, gradients: list[Tensor], rate: float) -> None:
        fused = torch._fused_adamw_ if self.kind == "adamw" else torch._fused_adam_  # pyright: ignore[reportPrivateImportUsage]
        with torch.no_grad():
            torch._foreach_add_(group.state["step"], 1)  # pyright: ignore[reportPrivateImportUsage]
            fused(
                list[Tensor](group.parameters),
                gradients,
                group.state["exp_avg"],
                group.state["exp_avg_sq"],
                [],
                group.state["step"],
                amsgrad=False,
                lr=rate,
                beta1=BETAS[0],
                beta2=BETAS[1],
                weight_decay=group.weight_decay,
                eps=EPSILON,
                maximize=False,
            )

    def _momentum_step(self, group: Group, gradients: list[Tensor], rate: float) -> None:
        with torch.no_grad():
            for parameter, gradient, momentum in zip(group.parameters, gradients, group.state["momentum"], strict=True):
                momentum.mul_(MOMENTUM).add_(gradient.add(parameter, alpha=group.weight_decay))
                parameter.sub_(momentum, alpha=rate)


def gradient_of(parameter: Tensor) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def learning_rate(training: Training, step: int, steps: int) -> float:
    """The rate of step `step` (from 0) of `steps`: a linear rise over the warm-up, then the schedule's way to zero."""
    warmup = training.schedule.warmup_share * steps
    if step < warmup:
        return training.learning_rate * (step + 1) / math.ceil(warmup)
    done = (step - warmup) / max(1.0, steps - warmup)
    match training.schedule.kind:
        case "constant":
            return training.learning_rate
        case "linear":
            return training.learning_rate * (1 - done)
        case "cosine":
            return training.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


class Average:
    """Exponential moving average of the parameters. Early on it forgets faster, so that the initial weights do not linger:

    the decay of step s (from 0) is min(decay, (1 + s) / (10 + s)).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._parameters: list[Tensor] = list(model.parameters())
        self.tensors: dict[str, Tensor] = {name: p.detach().clone() for name, p in model.named_parameters()}

    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            averaged = list(self.tensors.values())
            torch._foreach_lerp_(averaged, self._parameters, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
