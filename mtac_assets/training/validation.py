"""The validation split after each epoch: enough to see whether learning goes well. The real verdict is `evaluation`'s."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from mtac_assets.training.batches import Split

ROWS = 4096
"""Rows scored at a time; one shape for all chunks but the last."""


def probabilities(logits: Tensor) -> Tensor:
    """Probability of the positive class, float64 [B], from logits [B] or [B, K]: members are averaged as probabilities, not as logits."""
    each = torch.sigmoid(logits.double())
    return each if each.ndim == 1 else each.mean(dim=1)


def score(model: nn.Module, split: Split) -> np.ndarray:
    """Probabilities float64 [N] of all rows of `split`, in order. The model must be in evaluation mode."""
    device = next(model.parameters()).device
    with torch.inference_mode():
        parts = []
        for start in range(0, len(split), ROWS):
            numeric, categorical = split.slice(start, start + ROWS)
            parts.append(probabilities(model(numeric.to(device), categorical.to(device))).cpu())
    return torch.cat(parts).numpy()


def metrics(label: np.ndarray, probability: np.ndarray) -> dict[str, float | None]:
    """Log loss, ROC AUC (None where there is one class only) and whether the model says anything at all."""
    clipped = np.clip(probability, 1e-12, 1 - 1e-12)
    loss = -np.where(label > 0, np.log(clipped), np.log1p(-clipped)).mean()
    return {"log_loss": float(loss), "roc_auc": roc_auc(label, probability), "spread": float(np.ptp(probability))}


def roc_auc(label: np.ndarray, probability: np.ndarray) -> float | None:
    """Share of (positive, negative) pairs in the right order, ties counted half (Mann-Whitney)."""
    _, inverse, counts = np.unique(probability, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positive = label > 0
    n, p = len(label), int(positive.sum())
    if p in (0, n):
        return None
    return float((ranks[positive].sum() - p * (p + 1) / 2) / (p * (n - p)))
