"""How gradients move pieces of parameters: the arithmetic of AdamW, Adam, SGD and Muon, on lists of tensors.

The arithmetic of Adam is torch's own fused kernels. Their wrapper `torch.optim` is left out: making one imports torch's compiler (1.5 s
of processor time for each training, and for each segment of a reproduction), and its state is harder to carry than named tensors.
A test holds that both do the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8
MOMENTUM = 0.9
MUON_MOMENTUM = 0.95
MUON_SCALE = 0.2
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic, chosen for a steep start: five rounds bring every singular value to about 1 (0.7 to 1.2)."""

FIELDS: dict[str, tuple[str, ...]] = {
    "adamw": ("exp_avg", "exp_avg_sq"),
    "adam": ("exp_avg", "exp_avg_sq"),
    "sgd": ("momentum",),
    "muon": ("momentum",),
}
"""What each rule remembers of a piece, beside the number of steps that COUNTED rules share."""
COUNTED = frozenset({"adamw", "adam"})

State = Mapping[str, list[Tensor]]


def adam(
    rule: str, targets: list[Tensor], gradients: list[Tensor], state: State, steps: Tensor, rate: float, decay: float
) -> None:
    """`steps` is the number of this step, from 1, as a tensor."""
    fused = torch._fused_adamw_ if rule == "adamw" else torch._fused_adam_  # pyright: ignore[reportPrivateImportUsage]
    fused(
        targets,
        gradients,
        state["exp_avg"],
        state["exp_avg_sq"],
        [],
        [steps] * len(targets),
        amsgrad=False,
        lr=rate,
        beta1=BETAS[0],
        beta2=BETAS[1],
        weight_decay=decay,
        eps=EPSILON,
        maximize=False,
    )


def sgd(targets: Sequence[Tensor], gradients: Sequence[Tensor], state: State, rate: float, decay: float) -> None:
    for target, gradient, momentum in zip(targets, gradients, state["momentum"], strict=True):
        momentum.mul_(MOMENTUM).add_(gradient.add(target, alpha=decay))
        target.sub_(momentum, alpha=rate)


def muon(
    targets: Sequence[Tensor], gradients: Sequence[Tensor], state: State, rate: float, decay: float, precision: str
) -> None:
    """Momentum (Nesterov's), made orthogonal; scaled so that a step moves a matrix as far as AdamW's would, with one learning rate.

    Sources: Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); Liu et al., "Muon is scalable for LLM
    training" (2025), equation 4 for the scale.
    """
    for target, gradient, momentum in zip(targets, gradients, state["momentum"], strict=True):
        momentum.lerp_(gradient, 1 - MUON_MOMENTUM)
        direction = orthogonal(gradient.lerp(momentum, MUON_MOMENTUM), precision)
        target.mul_(1 - rate * decay)
        target.sub_(direction, alpha=rate * MUON_SCALE * max(target.shape) ** 0.5)


def orthogonal(matrix: Tensor, precision: str) -> Tensor:
    """The nearest (semi-)orthogonal matrix, roughly: five rounds of Newton and Schulz's iteration."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.to(torch.bfloat16 if precision == "bfloat16" else torch.float32)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        product = x @ x.T
        x = a * x + (b * product + c * product @ product) @ x
    return (x.T if tall else x).to(matrix.dtype)
