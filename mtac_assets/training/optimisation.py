"""The optimiser as the recipe asks for it, its learning rate at each step, and the moving average of the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mtac_assets.spec.recipe import Training


def build_optimizer(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """Weight decay reaches matrices only: what scales, shifts or embeds a member or a feature is not pulled to zero.

    A model may name its matrices itself (`decayed_parameters() -> list[Parameter]`); otherwise parameters of two dimensions or more.
    """
    chosen = getattr(model, "decayed_parameters", None)
    matrices = chosen() if chosen else [parameter for parameter in model.parameters() if parameter.ndim >= 2]
    decayed = {id(parameter) for parameter in matrices}
    groups = [
        {"params": matrices, "weight_decay": training.weight_decay},
        {"params": [p for p in model.parameters() if id(p) not in decayed], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if training.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=training.learning_rate, momentum=0.9, foreach=True)
    kind = torch.optim.AdamW if training.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=training.learning_rate, fused=True)


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
    """Exponential moving average of the parameters. Starts at the first step's weights; early on it forgets faster, so that the

    initial weights do not linger: the decay of step s is min(decay, (1 + s) / (10 + s)).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors: dict[str, Tensor] = {name: p.detach().clone() for name, p in model.named_parameters()}

    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            averaged: list[Tensor] = list(self.tensors.values())
            current: list[Tensor] = list(model.parameters())
            torch._foreach_lerp_(averaged, current, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
