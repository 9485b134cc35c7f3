"""Text in tokens: the mean loss of the next token, over rows of a mix. Validated at every checkpoint on a sample of held-out rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mtac_assets.data.mix.folder import TokenFolder, rows_in
from mtac_assets.data.mix.stream import RowStream, open_stream
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.determinism import key_randomness
from mtac_assets.training.models.registry import build_model
from mtac_assets.training.schedule import Schedule
from mtac_assets.training.tasks.protocol import MicroBatch
from mtac_assets.training.tokens import TokenSchema

VALIDATION_ROWS = 16
"""Rows of each source that the loss is watched on; the verdict is the evaluation's, on all of them."""
GOLDEN_ROWS, GOLDEN_TOKENS, TOLERANCE = 4, 64, 1e-3


@dataclass(frozen=True)
class LanguageTask:
    """`held_out` maps each source to the validation rows that are watched, int64 [R, T + 1]."""

    resolved: ResolvedRecipe
    schema: TokenSchema
    stream: RowStream
    held_out: Mapping[str, Tensor]
    schedule: Schedule

    @classmethod
    def open(cls, resolved: ResolvedRecipe, schema: TokenSchema, folder: Path) -> LanguageTask:
        """From a training set's folder. Raises TrainingRefused."""
        training = resolved.recipe.training
        opened = TokenFolder.open(folder)
        held_out = {name: held_out_rows(opened, name, schema.sequence_length) for name in opened.sources}
        found = {name: rows for name, rows in held_out.items() if len(rows)}
        schedule = Schedule.of(training, None, opened.steps)
        return cls(resolved, schema, open_stream(folder, training.seed), found, schedule)

    def initial_model(self) -> nn.Module:
        """Drawn parameter by parameter where the model can (`initialise`), otherwise as it draws itself."""
        recipe = self.resolved.recipe
        key_randomness(recipe.training.seed, "initialisation")
        model = build_model(recipe.model.kind, recipe.model.settings, self.schema, self.resolved.folder)
        initialise = getattr(model, "initialise", None)
        if initialise is not None:
            initialise(recipe.training.seed)
        return model

    def micro_batches(self, step: int, first: int, count: int) -> list[MicroBatch]:
        size = self.schedule.micro_batch_size
        tokens_BT1, _ = self.stream.rows(step * self.schedule.batch_size + first * size, count * size)
        return [(rows,) for rows in torch.from_numpy(tokens_BT1).split(size)]

    def loss(self, model: nn.Module, micro_batch: MicroBatch) -> Tensor:
        return next_token_loss(model, micro_batch[0])

    def validate(self, model: nn.Module) -> dict[str, float | None]:
        """`loss` of all watched rows, and `loss/<source>`: nats a token, in batches of one micro-batch's shape or fewer."""
        device = next(model.parameters()).device
        size = self.schedule.micro_batch_size
        found: dict[str, float | None] = {}
        total = rows = 0.0
        with torch.inference_mode():
            for source, rows_RT1 in self.held_out.items():
                each = [
                    float(next_token_loss(model, part.to(device), "none").double().mean(1).sum())
                    for part in rows_RT1.split(size)
                ]
                found[f"loss/{source}"] = sum(each) / len(rows_RT1)
                total, rows = total + sum(each), rows + len(rows_RT1)
        return {"loss": total / rows if rows else None, **found}

    def remark(self, validation: dict[str, float | None]) -> str | None:
        guess, loss = float(np.log(self.schema.vocabulary_size)), validation["loss"]
        if loss is None:
            return "no held-out document is as long as a row: nothing was validated"
        return f"a validation loss of {loss:.2f} is no better than a guess ({guess:.2f})" if loss >= guess else None

    def golden(self, model: nn.Module) -> dict[str, Any]:
        """A few held-out rows, cut short, with the model's loss of each."""
        device = next(model.parameters()).device
        rows: list[dict[str, Any]] = []
        with torch.inference_mode():
            for source, rows_RT1 in list(self.held_out.items())[:GOLDEN_ROWS]:
                row_1T = rows_RT1[:1, :GOLDEN_TOKENS]
                loss = float(next_token_loss(model, row_1T.to(device)))
                rows.append({"source": source, "tokens": row_1T[0].tolist(), "loss": loss})
        return {"schema_version": 1, "tolerance": TOLERANCE, "rows": rows}

    def inputs_document(self) -> dict[str, Any]:
        return {"tokens": self.schema.document()}


def next_token_loss(model: nn.Module, tokens_BT1: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of each token but the first, in nats: the mean, or with reduction "none" float32 [B, T]."""
    logits_BTV = model(tokens_BT1[:, :-1])
    target_BT = tokens_BT1[:, 1:]
    loss = functional.cross_entropy(logits_BTV.flatten(0, 1).float(), target_BT.flatten(), reduction=reduction)
    return loss if reduction == "mean" else loss.view(target_BT.shape)


def held_out_rows(folder: TokenFolder, source: str, length: int, split: str = "validate") -> Tensor:
    """VALIDATION_ROWS rows (or as many as there are) of a split's tokens, evenly spread: int64 [R, length + 1]."""
    tokens = folder.array(split, source, "tokens")
    rows = rows_in(len(tokens), length)
    places = np.unique(np.linspace(0, rows - 1, min(rows, VALIDATION_ROWS)).astype(int)) if rows else []
    found = [np.asarray(tokens[place * length : place * length + length + 1], dtype=np.int64) for place in places]
    return torch.from_numpy(np.stack(found) if found else np.empty((0, length + 1), dtype=np.int64))
