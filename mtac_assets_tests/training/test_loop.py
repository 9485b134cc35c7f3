from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mtac_assets.data.training_set_schema import FeatureSchema
from mtac_assets.spec.recipe import Recipe, Training
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.batches import Split, open_split
from mtac_assets.training.checkpoint import History, Identity
from mtac_assets.training.checkpoint_writer import CheckpointWriter
from mtac_assets.training.errors import NonFiniteLoss, TrainingRefused
from mtac_assets.training.loop import fit, train_step
from mtac_assets.training.models import tabular_ensemble
from mtac_assets.training.schedule import Schedule
from mtac_assets.training.state import TrainingState
from mtac_assets.training.tasks.tabular import TabularTask, mean_loss, schedule_of
from mtac_assets_tests.training.tiny_set import RECIPE

SCHEMA = FeatureSchema(("a", "b", "c"), ("k",), (("x", "y", "z"),))
TRAINING = Training(
    seed=1,
    epochs=1,
    batch_size=32,
    micro_batch_size=32,
    optimizer="adamw",
    learning_rate=0.01,
    precision="float32",
    device="cpu",
    threads=1,
    checkpoint_every_steps=1000,
)


def with_settings(**settings: object) -> Training:
    return TRAINING.model_copy(update=settings)


def ensemble(train: Split, **settings: object) -> nn.Module:
    torch.manual_seed(0)
    model = tabular_ensemble.build(SCHEMA, {"members": 3, "width": 16, "dropout": 0.0} | settings)
    model.fit_constants(train.numeric, train.categorical, train.label)
    return model


def loss_of(model: nn.Module, split: Split) -> float:
    with torch.no_grad():
        return mean_loss(model.eval()(split.numeric, split.categorical), split.label).item()


def task_of(rows: Split, training: Training) -> TabularTask:
    """The task of learning `rows` as `training` says; the recipe beside it decides nothing here."""
    document = RECIPE | {"training": training.model_dump(mode="json")}
    recipe = Recipe.model_validate_json(json.dumps(document))
    resolved = ResolvedRecipe.of(recipe, None, Path("tiny"), "defs/tiny", (), None)
    return TabularTask(resolved, SCHEMA, rows, rows, schedule_of(resolved, len(rows)))


def trained(model: nn.Module, train: Split, training: Training) -> TrainingState:
    state = TrainingState(model, training)
    history = History("0")
    with CheckpointWriter(None, Identity("", "", "", "", "", ""), history) as writer:
        fit(state, task_of(train, training), training, writer, history=history, validating=False)
    return state


@pytest.fixture
def train(tiny_set) -> Split:
    return open_split(tiny_set, "train")


def test_a_single_batch_is_learnt_by_heart(train):
    few = Split(train.numeric[:32], train.categorical[:32], train.label[:32])
    state = trained(ensemble(few, bins=32), few, with_settings(epochs=150))
    assert loss_of(state.model, few) < 0.05


def test_the_number_of_micro_batches_changes_the_gradient_by_rounding_only(train):
    weights = {}
    for micro in (32, 8):
        training = with_settings(micro_batch_size=micro, optimizer="sgd")
        state = TrainingState(ensemble(train), training)
        train_step(state, task_of(train, training), training, 0)
        weights[micro] = state.weights()
    for name, tensor in weights[32].items():
        torch.testing.assert_close(weights[8][name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("batch", "micro"), [(192, 64), (288, 96), (192, 50)])
def test_micro_batches_that_are_no_power_of_two_are_refused(batch, micro):
    with pytest.raises(TrainingRefused, match="micro-batches"):
        Schedule.of(with_settings(batch_size=batch, micro_batch_size=micro), 600, 3)


def test_a_spoilt_step_leaves_the_weights_as_they_were(train):
    spoilt = Split(train.numeric.clone(), train.categorical, torch.full_like(train.label, float("nan")))
    state = TrainingState(ensemble(train), TRAINING)
    before = copy.deepcopy(state.weights())
    with pytest.raises(NonFiniteLoss, match="loss is nan at step 3"):
        train_step(state, task_of(spoilt, TRAINING), TRAINING, 3)
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.weights().items())


def test_dropout_is_drawn_by_step_and_micro_batch_and_not_by_history(train):
    def weights_after(steps: list[int], disturb: bool) -> dict[str, torch.Tensor]:
        state = TrainingState(ensemble(train, dropout=0.5), TRAINING)
        for step in steps:
            if disturb:
                torch.rand(17)
            train_step(state, task_of(train, TRAINING), TRAINING, step)
        return state.weights()

    calm, disturbed = weights_after([0, 1], False), weights_after([0, 1], True)
    assert all(torch.equal(disturbed[name], tensor) for name, tensor in calm.items())


def test_the_average_is_what_becomes_the_model(train):
    state = trained(ensemble(train), train, with_settings(ema_decay=0.5))
    own = dict(state.model.named_parameters())
    weights = state.weights()
    assert any(not torch.equal(weights[name], parameter) for name, parameter in own.items())
    assert set(weights) == set(state.model.state_dict())


def test_state_goes_out_and_in_without_losing_a_bit(train):
    training = with_settings(ema_decay=0.5)
    task = task_of(train, training)
    one, other = TrainingState(ensemble(train), training), TrainingState(ensemble(train, dropout=0.3), training)
    train_step(one, task, training, 0)
    other.restore(one.tensors())
    other.model.dropout = one.model.dropout
    for step in (1, 2):
        for state in (one, other):
            train_step(state, task, training, step)
    assert all(torch.equal(other.tensors()[name], tensor) for name, tensor in one.tensors().items())


def test_each_member_learns_by_itself():
    logits, label = torch.tensor([[2.0, -1.0], [0.5, 3.0]]), torch.tensor([1.0, 0.0])
    each = [mean_loss(logits[:, member], label) for member in range(2)]
    torch.testing.assert_close(mean_loss(logits, label), torch.stack(each).mean())


@pytest.mark.parametrize(("optimizer", "precision"), [("adamw", "bfloat16"), ("adam", "float32"), ("sgd", "float32")])
def test_every_optimizer_and_precision_learns(train, optimizer, precision):
    rate = 0.5 if optimizer == "sgd" else 0.01
    training = with_settings(epochs=3, optimizer=optimizer, precision=precision, learning_rate=rate)
    state = trained(ensemble(train), train, training)
    rate = train.label.mean()
    guess = -(rate * rate.log() + (1 - rate) * (1 - rate).log())
    assert loss_of(state.model, train) < 0.9 * float(guess)
