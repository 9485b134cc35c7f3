"""The network for tables: one MLP that is an ensemble of K (TabM), with piecewise-linear numeric embeddings.

Sources: Gorishniy et al., "TabM: Advancing tabular deep learning with parameter-efficient ensembling" (2024); Gorishniy et al.,
"On embeddings for numerical features in tabular deep learning" (2022); Wen et al., "BatchEnsemble" (2020).

Why this and not K networks: the members share every matrix and differ by vectors (one multiplies a layer's input or output, one is its
bias), so that K = 16 members cost one wide matrix product and not sixteen small ones, and still err differently, which is where an
ensemble's gain comes from. Other than in TabM the first layer has no scale on its input, only on its output: its product, the widest,
is then made once for all members instead of K times (2.5 times as fast in all, and no worse). docs/log.md has the figures, and what else
was tried.

Shapes: B rows, F numeric and C categorical features, Q bins, E width of an embedding, K members, D width of a hidden layer.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


class Schema(Protocol):
    """What the network needs to know of its features: `data.training_set.FeatureSchema` is one."""

    @property
    def numeric(self) -> tuple[str, ...]: ...

    @property
    def vocabulary_sizes(self) -> tuple[int, ...]:
        """Known values of each categorical feature; index 0 is for missing or unseen ones and not counted."""
        ...


@dataclass(frozen=True)
class Settings:
    """`model.settings` of the recipe. Widths and counts are numbers of units; `dropout` is a probability."""

    members: int = 16
    depth: int = 2
    width: int = 128
    dropout: float = 0.1
    bins: int = 32
    numeric_embedding: int = 8
    categorical_embedding: int = 8

    def __post_init__(self) -> None:
        for name in ("members", "depth", "width", "bins", "numeric_embedding", "categorical_embedding"):
            if getattr(self, name) < 1:
                raise ValueError(f"model.settings.{name} is {getattr(self, name)}; at least 1 is needed")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"model.settings.dropout is {self.dropout}; at least 0 and below 1 is needed")


class PiecewiseLinear(nn.Module):
    """Numeric features as sums of ramps between quantiles of the training split: [B, F] -> [B, F * E].

    A value fills the bins below it (1), its own bin in part, and none above (0): order is kept, and the network may bend at each
    quantile. A missing value fills no bin and gets a learned vector of its own. Values outside the training split's range saturate at its
    ends: what lies beyond was never learned, and a far outlier must not dominate a row.
    """

    edges: Tensor
    inverse_width: Tensor

    def __init__(self, features: int, bins: int, embedding: int) -> None:
        super().__init__()
        self.register_buffer("edges", torch.zeros(features, bins))
        self.register_buffer("inverse_width", torch.zeros(features, bins))
        self.weight_FQE = nn.Parameter(torch.empty(features, bins, embedding))
        self.bias_FE = nn.Parameter(torch.empty(features, embedding))
        self.missing_FE = nn.Parameter(torch.empty(features, embedding))
        for parameter in (self.weight_FQE, self.bias_FE, self.missing_FE):
            nn.init.uniform_(parameter, -(bins**-0.5), bins**-0.5)

    def fit_constants(self, numeric_NF: Tensor) -> None:
        """Bins from the quantiles of the known values. Bins of no width (repeated values, a constant column) stay empty for ever."""
        features, bins = self.edges.shape
        levels = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
        for feature in range(features):
            known = numeric_NF[:, feature].double()
            known = known[~torch.isnan(known)]
            if len(known) == 0:
                continue
            edges = quantiles(known, levels)
            width = edges[1:] - edges[:-1]
            self.edges[feature] = edges[:-1].float()
            inverse = (1 / width).float()
            # A bin so narrow that its inverse is no float32 is one of no width: infinity times a distance of 0 is no number.
            self.inverse_width[feature] = torch.where((width > 0) & inverse.isfinite(), inverse, 0)

    def forward(self, numeric_BF: Tensor) -> Tensor:
        missing_BF = torch.isnan(numeric_BF)
        known_BF = torch.where(missing_BF, 0, numeric_BF)
        filled_BFQ = (
            (known_BF[..., None] - self.edges).mul_(self.inverse_width).clamp_(0, 1).mul_(~missing_BF[..., None])
        )
        embedded_FBE = torch.bmm(filled_BFQ.transpose(0, 1), self.weight_FQE)
        embedded_BFE = embedded_FBE.transpose(0, 1) + torch.where(missing_BF[..., None], self.missing_FE, self.bias_FE)
        return embedded_BFE.flatten(1)


def quantiles(values_N: Tensor, levels_Q: Tensor) -> Tensor:
    """Linear-interpolated quantiles (numpy's default method); torch.quantile refuses more than 16 million values."""
    ordered = values_N.sort().values
    position = levels_Q * (len(ordered) - 1)
    low = position.floor().long()
    high = position.ceil().long()
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


class Categories(nn.Module):
    """All categorical features in one table: [B, C] indices (0 = missing or unseen) -> [B, C * E]."""

    offset: Tensor

    def __init__(self, vocabulary_sizes: tuple[int, ...], embedding: int) -> None:
        super().__init__()
        sizes = torch.tensor([0, *(size + 1 for size in vocabulary_sizes)])
        self.register_buffer("offset", sizes.cumsum(0)[:-1])
        self.table = nn.Embedding(int(sizes.sum()), embedding)
        nn.init.uniform_(self.table.weight, -(embedding**-0.5), embedding**-0.5)

    def forward(self, categorical_BC: Tensor) -> Tensor:
        return self.table(categorical_BC + self.offset).flatten(1)


class EnsembleLayer(nn.Module):
    """One linear map shared by all members, then each member's own scale and bias, ReLU and dropout: [K, B, I] -> [K, B, D].

    Given [1, B, I], an input that the members share, the product is made once and spread over them afterwards.
    """

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight_DI = nn.Parameter(torch.empty(outputs, inputs))
        self.scale_KD = nn.Parameter(torch.ones(members, 1, outputs))
        self.bias_KD = nn.Parameter(torch.empty(members, 1, outputs))
        nn.init.uniform_(self.weight_DI, -(inputs**-0.5), inputs**-0.5)
        nn.init.uniform_(self.bias_KD, -(inputs**-0.5), inputs**-0.5)

    def forward(self, x_KBI: Tensor, kept_BD: Tensor | None) -> Tensor:
        return Activation.apply(functional.linear(x_KBI, self.weight_DI), self.scale_KD, self.bias_KD, kept_BD)  # pyright: ignore[reportReturnType]


class Activation(torch.autograd.Function):
    """relu(h * scale + bias) * kept, h of one or of all members. The same bits as torch's own operations one after the other, in
    half of the memory and so in less time: nothing between the ends is kept, and gradients are changed in place."""

    @staticmethod
    def forward(ctx: Any, h_KBD: Tensor, scale_KD: Tensor, bias_KD: Tensor, kept_BD: Tensor | None) -> Tensor:
        x_KBD = torch.addcmul(bias_KD, h_KBD, scale_KD).relu_()
        if kept_BD is not None:
            x_KBD.mul_(kept_BD)
        ctx.save_for_backward(h_KBD, scale_KD, kept_BD, x_KBD)
        return x_KBD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_KBD: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        h_KBD, scale_KD, kept_BD, x_KBD = ctx.saved_tensors
        at_KBD = gradient_KBD.clone() if kept_BD is None else gradient_KBD * kept_BD
        # What ReLU and dropout let through.
        torch.ops.aten.threshold_backward.grad_input(at_KBD, x_KBD, 0, grad_input=at_KBD)
        to_scale_KD, to_bias_KD = (at_KBD * h_KBD).sum(1, keepdim=True), at_KBD.sum(1, keepdim=True)
        at_KBD.mul_(scale_KD)
        shared = h_KBD.shape[0] == 1
        return at_KBD.sum(0, keepdim=True) if shared else at_KBD, to_scale_KD, to_bias_KD, None


class TabularEnsemble(nn.Module):
    """forward(numeric_BF float32 with NaN for missing, categorical_BC int) -> logits_BK; the prediction is the mean probability over K."""

    def __init__(self, schema: Schema, settings: Settings) -> None:
        super().__init__()
        self.numeric = PiecewiseLinear(len(schema.numeric), settings.bins, settings.numeric_embedding)
        self.categories = Categories(schema.vocabulary_sizes, settings.categorical_embedding)
        inputs = (
            len(schema.numeric) * settings.numeric_embedding
            + len(schema.vocabulary_sizes) * settings.categorical_embedding
        )
        widths = [inputs, *[settings.width] * settings.depth]
        self.layers = nn.ModuleList(
            EnsembleLayer(settings.members, low, high) for low, high in itertools.pairwise(widths)
        )
        # Random signs make the members differ from the first step on; every other scale begins at one (TabM, section 3.3).
        with torch.no_grad():
            self.layers[0].scale_KD.bernoulli_(0.5).mul_(2).sub_(1)  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue]
        self.dropout, self.width = settings.dropout, settings.width
        self.head_KD = nn.Parameter(torch.empty(settings.members, settings.width, 1))
        self.head_bias_K = nn.Parameter(torch.zeros(settings.members, 1, 1))
        nn.init.uniform_(self.head_KD, -(settings.width**-0.5), settings.width**-0.5)

    def decayed_parameters(self) -> list[nn.Parameter]:
        """The matrices. Scales, biases and embeddings of categories are few and must be free to be what they are."""
        return [self.numeric.weight_FQE, *(layer.weight_DI for layer in self.layers), self.head_KD]  # pyright: ignore[reportReturnType]

    def fit_constants(self, numeric_NF: Tensor, categorical_NC: Tensor, label_N: Tensor) -> None:
        """Preprocessing constants from the training split, once, before the first step. They are buffers: they travel with the weights."""
        self.numeric.fit_constants(numeric_NF)
        rate = label_N.double().mean().clamp(1e-4, 1 - 1e-4)
        with torch.no_grad():
            self.head_bias_K.fill_(float(torch.logit(rate)))

    def forward(self, numeric_BF: Tensor, categorical_BC: Tensor) -> Tensor:
        x_BI = torch.cat((self.numeric(numeric_BF), self.categories(categorical_BC)), dim=1)
        x_KBD = x_BI[None]
        for layer in self.layers:
            x_KBD = layer(x_KBD, kept(x_KBD, self.width, self.dropout if self.training else 0.0))
        logits_KB1 = torch.baddbmm(self.head_bias_K, x_KBD, self.head_KD)
        return logits_KB1.squeeze(2).T


def kept(x_KBI: Tensor, width: int, probability: float) -> Tensor | None:
    """[B, D]: what dropout lets through, scaled; None for all. One mask for all members: drawing one for each was 28 % of a step, and
    gained nothing."""
    if probability == 0:
        return None
    return x_KBI.new_empty(x_KBI.shape[1], width).bernoulli_(1 - probability).div_(1 - probability)


def build(schema: Schema, settings: dict[str, object]) -> TabularEnsemble:
    """`model.kind: tabular_ensemble`. An unknown setting is a TypeError, a bad value a ValueError; the trainer names the recipe's field."""
    return TabularEnsemble(schema, Settings(**settings))  # type: ignore[arg-type]
