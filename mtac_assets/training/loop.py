"""The loop: from a state and a step to a later one. Reads as the design says it, and does per step nothing that need not be there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mtac_assets.spec.errors import Finding
from mtac_assets.spec.recipe import Training
from mtac_assets.training import validation
from mtac_assets.training.batches import Split, rows_of_step, steps_of
from mtac_assets.training.checkpoint import History
from mtac_assets.training.checkpoint_writer import CheckpointWriter
from mtac_assets.training.determinism import key_randomness
from mtac_assets.training.errors import NonFiniteLoss, TrainingRefused
from mtac_assets.training.optimisation import gradient_of, learning_rate
from mtac_assets.training.reduction import TreeSum
from mtac_assets.training.segments import is_boundary
from mtac_assets.training.state import SwappedIn, TrainingState

CURVE_POINTS = 100


@dataclass(frozen=True)
class Schedule:
    """Lengths of a training, in steps and rows."""

    rows: int
    steps: int
    batch_size: int
    checkpoint_every: int

    @classmethod
    def of(cls, training: Training, rows: int) -> Schedule:
        """Raises TrainingRefused where a step's micro-batches are no power of two (`reduction` says why they must be)."""
        micro_batches, rest = divmod(training.batch_size, training.micro_batch_size)
        if rest or micro_batches & (micro_batches - 1):
            raise TrainingRefused(
                Finding(
                    f"batch_size {training.batch_size} holds {training.batch_size / training.micro_batch_size:g} micro-batches",
                    "training.micro_batch_size",
                    "batch_size divided by 1, 2, 4, 8, …",
                    f"set micro_batch_size to {training.batch_size}",
                )
            )
        steps = steps_of(rows, training.epochs, training.batch_size)
        return cls(rows, steps, training.batch_size, training.checkpoint_every_steps)

    @property
    def curve_every(self) -> int:
        return max(1, self.steps // CURVE_POINTS)

    def epoch_ends(self, step: int) -> bool:
        """Whether an epoch's last row was seen in the step before `step`, or training ends."""
        return step == self.steps or step * self.batch_size // self.rows > (step - 1) * self.batch_size // self.rows


@dataclass(frozen=True)
class Outcome:
    """Where a loop ended: after `step` steps, stopped before the end or not."""

    step: int
    history: History
    stopped: bool


def fit(
    state: TrainingState,
    train: Split,
    validate: Split | None,
    training: Training,
    schedule: Schedule,
    writer: CheckpointWriter,
    *,
    start: int = 0,
    until: int | None = None,
    history: History,
    on_record: Callable[[dict[str, Any]], None] = lambda record: None,
    after_first_step: Callable[[], object] = lambda: None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train from `start` steps done until `until` (the end). `stop()` is asked after each step; then the state is saved and that is all.

    `validate` None skips validation, which moves no bit of the state. Raises NonFiniteLoss before a step that would spoil the weights.
    """
    end = schedule.steps if until is None else until
    curve, validations, losses = list(history.curve), list(history.validations), list(history.losses)
    state.model.train()
    marked, marked_step = time.perf_counter(), start
    for done in range(start + 1, end + 1):
        loss, norm = train_step(state, train, training, done - 1, schedule)
        losses.append(loss)
        if done == start + 1:
            after_first_step()
        if done % schedule.curve_every == 0 or done == schedule.steps:
            now = time.perf_counter()
            point = {
                "step": done,
                "loss": sum(losses[-schedule.curve_every :]) / min(len(losses), schedule.curve_every),
                "gradient_norm": norm,
                "learning_rate": learning_rate(training, done - 1, schedule.steps),
            }
            curve.append(point)
            rate = (done - marked_step) * schedule.batch_size / max(now - marked, 1e-9)
            marked, marked_step = now, done
            epoch = (done * schedule.batch_size - 1) // schedule.rows
            on_record(
                {**point, "kind": "step", "steps": schedule.steps, "epoch": epoch, "rows_per_second": round(rate, 1)}
            )
        if validate is not None and schedule.epoch_ends(done):
            with SwappedIn(state):
                measured = validation.metrics(validate.label.numpy(), validation.score(state.model, validate))
            validations.append({"step": done, **measured})
            on_record({"kind": "validation", "step": done, "steps": schedule.steps, "validation": measured})
        boundary = is_boundary(done, schedule.checkpoint_every, schedule.steps)
        stopped = done < end and stop()
        if boundary or stopped:
            history = replace(history, curve=tuple(curve), validations=tuple(validations), losses=tuple(losses))
            writer.submit(done, state.tensors(), history, boundary)
        if stopped:
            writer.wait()
            return Outcome(done, history, stopped=True)
    writer.wait()
    history = replace(
        history, segments=writer.segments, curve=tuple(curve), validations=tuple(validations), losses=tuple(losses)
    )
    return Outcome(end, history, stopped=False)


def train_step(
    state: TrainingState, train: Split, training: Training, step: int, schedule: Schedule
) -> tuple[float, float]:
    """One step (from 0): its mean loss, and the gradient's norm before clipping (NaN where nothing clips and nothing asked)."""
    index_B = torch.from_numpy(rows_of_step(training.seed, schedule.rows, step, schedule.batch_size))
    micro_batches = schedule.batch_size // training.micro_batch_size
    parameters = state.optimizer.parameters
    state.optimizer.clear_gradients()
    if micro_batches == 1:
        loss = _backward(state, train, training, index_B, step, 0)
    else:
        tree, loss = TreeSum(), 0.0
        for micro_batch, index in enumerate(index_B.split(training.micro_batch_size)):
            loss += _backward(state, train, training, index, step, micro_batch)
            tree.add([gradient_of(parameter) for parameter in parameters])
            state.optimizer.clear_gradients()
        total = tree.total()
        torch._foreach_mul_(total, 1 / micro_batches)  # pyright: ignore[reportPrivateImportUsage]
        for parameter, gradient in zip(parameters, total, strict=True):
            parameter.grad = gradient
        loss /= micro_batches
    norm = torch.nn.utils.get_total_norm([gradient_of(parameter) for parameter in parameters], foreach=True)
    norm_value = float(norm)
    if not (math.isfinite(loss) and math.isfinite(norm_value)):
        raise _non_finite(loss, norm_value, step)
    if training.gradient_clip is not None and norm_value > training.gradient_clip:
        torch.nn.utils.clip_grads_with_norm_(parameters, training.gradient_clip, norm, foreach=True)
    state.optimizer.step(learning_rate(training, step, schedule.steps))
    if state.average:
        state.average.update(step)
    return loss, norm_value


def _backward(
    state: TrainingState, train: Split, training: Training, index: Tensor, step: int, micro_batch: int
) -> float:
    """Forward and backward of one micro-batch; gradients of its mean loss are left in the parameters."""
    key_randomness(training.seed, "step", step, "micro_batch", micro_batch)
    numeric_BF, categorical_BC, label_B = train.rows(index)
    if training.device != "cpu":
        numeric_BF, categorical_BC, label_B = (x.to(training.device) for x in (numeric_BF, categorical_BC, label_B))
    with torch.autocast(training.device, torch.bfloat16, enabled=training.precision == "bfloat16"):
        loss = mean_loss(state.model(numeric_BF, categorical_BC), label_B, training.label_smoothing)
    loss.backward()
    return loss.item()


def mean_loss(logits: Tensor, label_B: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean log loss over rows and, for logits [B, K], over members: each member learns by itself (TabM)."""
    target = label_B * (1 - smoothing) + smoothing / 2 if smoothing else label_B
    if logits.ndim == 2:
        target = target[:, None].expand_as(logits)
    return functional.binary_cross_entropy_with_logits(logits.float(), target)


def _non_finite(loss: float, norm: float, step: int) -> NonFiniteLoss:
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
    return NonFiniteLoss(
        Finding(
            f"{what} at step {step}",
            f"training step {step}",
            "finite numbers",
            "lower training.learning_rate, set training.gradient_clip, or look for infinite values in the features",
        )
    )
