"""The beginning that every training of a recipe shares: flags, task, model. A replay and a probe begin the same way."""

from __future__ import annotations

from dataclasses import dataclass

from mtac_assets.training.determinism import establish
from mtac_assets.training.inputs import Inputs
from mtac_assets.training.state import TrainingState
from mtac_assets.training.tasks.language import LanguageTask
from mtac_assets.training.tasks.protocol import Task
from mtac_assets.training.tasks.tabular import TabularTask
from mtac_assets.training.tensors import weights_digest
from mtac_assets.training.tokens import TokenSchema
from mtac_assets.training.workers import ALONE, Workers


@dataclass(frozen=True)
class Beginning:
    """`initial_digest` is that of the whole state before the first step."""

    state: TrainingState
    task: Task
    initial_digest: str


def begin(inputs: Inputs, workers: Workers = ALONE, *, sharded: bool = False) -> Beginning:
    """The state before the first step: a pure function of the recipe and the training set. Raises TrainingRefused.

    `sharded`: the weights are parted among the workers, from a network that each has drawn whole in its own memory.
    """
    training = inputs.resolved.recipe.training
    establish(training)
    task = open_task(inputs)
    model = task.initial_model().to(training.device)
    if training.compile:
        model.compile()
    state = TrainingState(model, training, workers, sharded=sharded)
    return Beginning(state, task, weights_digest(state.tensors())[0])


def open_task(inputs: Inputs) -> Task:
    """The task that the training set's kind stands for."""
    if isinstance(inputs.schema, TokenSchema):
        return LanguageTask.open(inputs.resolved, inputs.schema, inputs.training_set)
    return TabularTask.open(inputs.resolved, inputs.schema, inputs.training_set)
