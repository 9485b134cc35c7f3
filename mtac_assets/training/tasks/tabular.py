"""Rows of a table with a label of 0 or 1: log loss, validated after each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtac_assets.data.training_set_schema import FeatureSchema
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training import validation
from mtac_assets.training.batches import Split, open_split, rows_of_step, steps_of
from mtac_assets.training.determinism import key_randomness
from mtac_assets.training.errors import LearntNothing
from mtac_assets.training.golden import golden
from mtac_assets.training.models.registry import build_model
from mtac_assets.training.schedule import Schedule
from mtac_assets.training.tasks.protocol import MicroBatch


@dataclass(frozen=True)
class TabularTask:
    resolved: ResolvedRecipe
    schema: FeatureSchema
    train: Split
    validation_rows: Split
    schedule: Schedule

    @classmethod
    def open(cls, resolved: ResolvedRecipe, schema: FeatureSchema, folder: Path) -> TabularTask:
        """From a training set's folder. Raises TrainingRefused."""
        train, validate = open_split(folder, "train"), open_split(folder, "validate")
        return cls(resolved, schema, train, validate, schedule_of(resolved, len(train)))

    def initial_model(self) -> nn.Module:
        """Parameters drawn under a name of their own; constants fitted where the model has any (`fit_constants`)."""
        recipe = self.resolved.recipe
        key_randomness(recipe.training.seed, "initialisation")
        model = build_model(recipe.model.kind, recipe.model.settings, self.schema, self.resolved.folder)
        fit_constants = getattr(model, "fit_constants", None)
        if fit_constants is not None:
            fit_constants(self.train.numeric, self.train.categorical, self.train.label)
        return model

    def micro_batches(self, step: int, first: int, count: int) -> list[MicroBatch]:
        seed, size = self.resolved.recipe.training.seed, self.schedule.micro_batch_size
        index_B = torch.from_numpy(rows_of_step(seed, len(self.train), step, self.schedule.batch_size))
        return [self.train.rows(index) for index in index_B[first * size : (first + count) * size].split(size)]

    def loss(self, model: nn.Module, micro_batch: MicroBatch) -> Tensor:
        numeric_BF, categorical_BC, label_B = micro_batch
        return mean_loss(model(numeric_BF, categorical_BC), label_B, self.resolved.recipe.training.label_smoothing)

    def validate(self, model: nn.Module) -> dict[str, float | None]:
        rows = self.validation_rows
        return validation.metrics(rows.label.numpy(), validation.score(model, rows))

    def remark(self, validation: dict[str, float | None]) -> str | None:
        if validation["spread"] != 0:
            return None
        raise LearntNothing(
            Finding(
                "the model predicts one and the same probability for every validation row",
                f"validation after step {self.schedule.steps} of {self.schedule.steps}",
                "rows told apart",
                "look at the loss curve in progress.jsonl; lower training.learning_rate, or look for columns without values",
            )
        )

    def golden(self, model: nn.Module) -> dict[str, Any]:
        return golden(model, self.schema, self.validation_rows)

    def inputs_document(self) -> dict[str, Any]:
        return {"features": self.schema.document()}


def schedule_of(resolved: ResolvedRecipe, rows: int) -> Schedule:
    training = resolved.recipe.training
    return Schedule.of(training, rows, steps_of(rows, training.epochs, training.batch_size))


def mean_loss(logits: Tensor, label_B: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean log loss over rows and, for logits [B, K], over members: each member learns by itself (TabM)."""
    target = label_B * (1 - smoothing) + smoothing / 2 if smoothing else label_B
    if logits.ndim == 2:
        target = target[:, None].expand_as(logits)
    return functional.binary_cross_entropy_with_logits(logits.float(), target)
