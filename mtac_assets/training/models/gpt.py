"""The network for text: a decoder-only transformer in one file, with the defaults of today.

What it is: pre-norm blocks with RMSNorm, rotary positions, normalised queries and keys, a SwiGLU or squared-ReLU feed-forward, no
biases, a head tied to the embedding or of its own, causal attention by torch's scaled dot product.

Sources: Vaswani et al., "Attention is all you need" (2017); Radford et al., "Language models are unsupervised multitask learners"
(2019); Zhang and Sennrich, "Root mean square layer normalization" (2019); Su et al., "RoFormer" (2021); Shazeer, "GLU variants improve
transformer" (2020); So et al., "Primer" (2021, squared ReLU); Dehghani et al., "Scaling vision transformers to 22 billion parameters"
(2023, normalised queries and keys); Ainslie et al., "GQA" (2023); PaLM (2022, appendix B: FLOP of a token).

Every parameter is drawn from a stream of its own name (`initialise`), so that a layer more leaves the others as they were.

Shapes: B sequences, T positions, V vocabulary, D width, H heads, G key-value heads, E width of a head, M hidden width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtac_assets.training.determinism import seed_of

STANDARD_DEVIATION = 0.02
"""Of the embedding at the start: with a tied head the first logits are small, so the first loss is near ln V."""


class Schema(Protocol):
    """What the network needs to know of its text: `training.tokens.TokenSchema` is one."""

    @property
    def vocabulary_size(self) -> int: ...

    @property
    def sequence_length(self) -> int: ...


class SettingsError(ValueError):
    """Settings that make no network. `problems`: name, value and what was expected of each."""

    def __init__(self, problems: list[tuple[str, object, str]]) -> None:
        self.problems = problems
        said = (f"model.settings.{name} is {value}; expected {expected}" for name, value, expected in problems)
        super().__init__("; ".join(said))


@dataclass(frozen=True)
class Settings:
    """`model.settings` of the recipe. `hidden` None: 4 D for squared ReLU; for SwiGLU 8/3 D, up to a multiple of 64 (as many parameters)."""

    layers: int
    heads: int
    width: int
    key_value_heads: int | None = None
    feed_forward: Literal["swiglu", "relu_squared"] = "swiglu"
    hidden: int | None = None
    tied_head: bool = True
    qk_norm: bool = True
    dropout: float = 0.0
    rope_base: float = 10_000.0

    def __post_init__(self) -> None:
        """Raises SettingsError with everything that is wrong."""
        groups, heads = self.key_value_heads, max(1, self.heads)
        rules: list[tuple[bool, str, str]] = [
            (self.layers >= 1, "layers", "at least 1"),
            (self.heads >= 1, "heads", "at least 1"),
            (self.width >= 1, "width", "at least 1"),
            (self.width % heads == 0, "width", f"a multiple of heads ({self.heads})"),
            (self.width // heads % 2 == 0, "heads", "an even width of each head (rotary positions turn pairs)"),
            (
                groups is None or (groups >= 1 and self.heads % groups == 0),
                "key_value_heads",
                f"a divisor of heads ({self.heads})",
            ),
            (self.hidden is None or self.hidden >= 1, "hidden", "at least 1"),
            (self.feed_forward in ("swiglu", "relu_squared"), "feed_forward", "swiglu or relu_squared"),
            (0 <= self.dropout < 1, "dropout", "at least 0 and below 1"),
            (self.rope_base > 1, "rope_base", "above 1"),
        ]
        problems = [(name, getattr(self, name), expected) for holds, name, expected in rules if not holds]
        if problems:
            raise SettingsError(problems)

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def hidden_width(self) -> int:
        if self.hidden is not None:
            return self.hidden
        return 4 * self.width if self.feed_forward == "relu_squared" else -(-8 * self.width // 3 // 64) * 64


class Linear(nn.Module):
    """[..., I] -> [..., O] without a bias. `nn.Linear` would draw initial values that nobody uses."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight_OI = nn.Parameter(torch.empty(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight_OI)


class Norm(nn.Module):
    """RMSNorm with a learned scale, over the last dimension. In float32 whatever the precision: its sum of squares is long."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale_D = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x.float(), (x.shape[-1],), self.scale_D, eps=1e-6).to(x.dtype)


class Attention(nn.Module):
    """Causal self-attention with grouped keys and values: [B, T, D] -> [B, T, D]."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.heads, self.groups = settings.heads, settings.key_value_heads or settings.heads
        self.head_width = settings.head_width
        self.query_key_value = Linear(settings.width, (self.heads + 2 * self.groups) * self.head_width)
        self.out = Linear(self.heads * self.head_width, settings.width)
        self.query_norm = Norm(self.head_width) if settings.qk_norm else nn.Identity()
        self.key_norm = Norm(self.head_width) if settings.qk_norm else nn.Identity()

    def forward(self, x_BTD: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
        batch, length, _ = x_BTD.shape
        each_BTNE = self.query_key_value(x_BTD).view(batch, length, -1, self.head_width)
        query, key, value = each_BTNE.split((self.heads, self.groups, self.groups), dim=2)
        query = turned(self.query_norm(query), cos_TE, sin_TE)
        key = turned(self.key_norm(key), cos_TE, sin_TE)
        mixed_BHTE = functional.scaled_dot_product_attention(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            is_causal=True,
            enable_gqa=self.groups != self.heads,
        )
        return self.out(mixed_BHTE.transpose(1, 2).reshape(batch, length, -1))


def turned(x_BTHE: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
    """Rotary positions: each pair (e, e + E/2) is turned by an angle that grows with the position."""
    first, second = x_BTHE.chunk(2, dim=-1)
    cos, sin = cos_TE[:, None].to(x_BTHE.dtype), sin_TE[:, None].to(x_BTHE.dtype)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


class FeedForward(nn.Module):
    """[B, T, D] -> [B, T, D] by way of M hidden units."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.gated = settings.feed_forward == "swiglu"
        hidden = settings.hidden_width
        self.up = Linear(settings.width, 2 * hidden if self.gated else hidden)
        self.down = Linear(hidden, settings.width)

    def forward(self, x_BTD: Tensor) -> Tensor:
        hidden = self.up(x_BTD)
        if self.gated:
            gate, hidden = hidden.chunk(2, dim=-1)
            return self.down(functional.silu(gate) * hidden)
        return self.down(functional.relu(hidden).square())


class Block(nn.Module):
    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.attention_norm = Norm(settings.width)
        self.attention = Attention(settings)
        self.feed_norm = Norm(settings.width)
        self.feed = FeedForward(settings)
        self.dropout = settings.dropout

    def forward(self, x_BTD: Tensor, cos_TE: Tensor, sin_TE: Tensor) -> Tensor:
        x_BTD = x_BTD + self._dropped(self.attention(self.attention_norm(x_BTD), cos_TE, sin_TE))
        return x_BTD + self._dropped(self.feed(self.feed_norm(x_BTD)))

    def _dropped(self, x_BTD: Tensor) -> Tensor:
        return functional.dropout(x_BTD, self.dropout, self.training) if self.dropout else x_BTD


class GPT(nn.Module):
    """forward(tokens_BT int64) -> logits [B, T, V]; position t says what comes after tokens 0..t."""

    cos: Tensor
    sin: Tensor

    def __init__(self, schema: Schema, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.sequence_length = schema.sequence_length
        self.embedding_VD = nn.Parameter(torch.empty(schema.vocabulary_size, settings.width))
        self.blocks = nn.ModuleList(Block(settings) for _ in range(settings.layers))
        self.norm = Norm(settings.width)
        self.head = None if settings.tied_head else Linear(settings.width, schema.vocabulary_size)
        cos_TE, sin_TE = rotations(schema.sequence_length, settings.head_width, settings.rope_base)
        self.register_buffer("cos", cos_TE, persistent=False)
        self.register_buffer("sin", sin_TE, persistent=False)

    def initialise(self, seed: int) -> None:
        """Draw every parameter under its own name: scales 1, matrices by their inputs, those that write to the residual smaller."""
        generator = torch.Generator()
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                generator.manual_seed(seed_of(seed, "initialisation", name))
                # Drawn on the CPU whatever the device: two kinds of device begin with the same bits.
                drawn = torch.empty(parameter.shape)
                if parameter.ndim == 1:
                    drawn.fill_(1.0)
                else:
                    drawn.normal_(0.0, self._deviation(name, parameter), generator=generator)
                parameter.copy_(drawn)

    def _deviation(self, name: str, parameter: Tensor) -> float:
        if name == "embedding_VD":
            return STANDARD_DEVIATION
        residual = (2 * self.settings.layers) ** -0.5 if name.endswith(("out.weight_OI", "down.weight_OI")) else 1.0
        return parameter.shape[1] ** -0.5 * residual

    def hidden_matrices(self) -> list[nn.Parameter]:
        """The matrices between embedding and head: what Muon is for."""
        return [parameter for parameter in self.blocks.parameters() if parameter.ndim == 2]

    def blocks_to_shard(self) -> list[nn.Module]:
        """What need not be whole at the same time where no worker holds all weights."""
        return list(self.blocks)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        length = tokens_BT.shape[1]
        assert length <= self.sequence_length, f"{length} tokens, and positions for {self.sequence_length}"
        x_BTD = functional.embedding(tokens_BT, self.embedding_VD)
        cos_TE, sin_TE = self.cos[:length], self.sin[:length]
        for block in self.blocks:
            x_BTD = block(x_BTD, cos_TE, sin_TE)
        x_BTD = self.norm(x_BTD)
        return functional.linear(x_BTD, self.embedding_VD) if self.head is None else self.head(x_BTD)


def rotations(length: int, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine [T, E/2] of each position's angles, computed in float64 and rounded once."""
    # On the CPU whatever the device: the same bits on two kinds of it (and on "meta" torch would load its compiler for this).
    frequency_E = base ** -(torch.arange(0, head_width, 2, dtype=torch.float64, device="cpu") / head_width)
    angle_TE = torch.arange(length, dtype=torch.float64, device="cpu")[:, None] * frequency_E
    return angle_TE.cos().float(), angle_TE.sin().float()


def parameter_count(schema: Schema, settings: dict[str, Any]) -> int:
    """Exactly as many as the network has, counted on the meta device: nothing is allocated. Raises what `build` raises."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(schema, settings).parameters())


def flops_per_token(parameters: int, settings: Settings, length: int) -> int:
    """Forward and backward of one token: 6 N + 12 L D T (PaLM, appendix B; attention counted in full, as is usual)."""
    return 6 * parameters + 12 * settings.layers * settings.width * length


def build(schema: Schema, settings: dict[str, Any]) -> GPT:
    """`model.kind: gpt`, its parameters not drawn yet. An unknown setting is a TypeError, a bad value a ValueError."""
    return GPT(schema, Settings(**settings))
