"""The beginning that every training of a recipe shares: flags, model, constants, data. A replay and a probe begin the same way."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from mtac_assets.training import batches
from mtac_assets.training.batches import Split
from mtac_assets.training.determinism import establish, key_randomness
from mtac_assets.training.inputs import Inputs
from mtac_assets.training.loop import Schedule
from mtac_assets.training.models.registry import build_model
from mtac_assets.training.state import TrainingState


@dataclass(frozen=True)
class Beginning:
    state: TrainingState
    train: Split
    validate: Split
    schedule: Schedule


def begin(inputs: Inputs) -> Beginning:
    """The state before the first step: a pure function of the recipe and the training set. Raises TrainingRefused."""
    training = inputs.resolved.recipe.training
    establish(training)
    train = batches.open_split(inputs.training_set, "train")
    validate = batches.open_split(inputs.training_set, "validate")
    schedule = Schedule.of(training, len(train))
    return Beginning(TrainingState(initial_model(inputs, train), training), train, validate, schedule)


def initial_model(inputs: Inputs, train: Split) -> nn.Module:
    """Parameters drawn under a name of their own; constants fitted where the model has any (`fit_constants`)."""
    recipe = inputs.resolved.recipe
    key_randomness(recipe.training.seed, "initialisation")
    model = build_model(recipe.model.kind, recipe.model.settings, inputs.schema, inputs.resolved.folder)
    fit_constants = getattr(model, "fit_constants", None)
    if fit_constants is not None:
        fit_constants(train.numeric, train.categorical, train.label)
    return model.to(recipe.training.device)
