"""The loop: from a state and a step to a later one. Reads as the design says it, and does per step nothing that need not be there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from mtac_assets.spec.errors import Finding
from mtac_assets.spec.recipe import Training
from mtac_assets.training.checkpoint import History
from mtac_assets.training.checkpoint_writer import CheckpointWriter
from mtac_assets.training.determinism import key_randomness
from mtac_assets.training.errors import NonFiniteLoss
from mtac_assets.training.learning_rate import learning_rate
from mtac_assets.training.segments import is_boundary
from mtac_assets.training.state import SwappedIn, TrainingState
from mtac_assets.training.tasks.protocol import MicroBatch, Task


@dataclass(frozen=True)
class Outcome:
    """Where a loop ended: after `step` steps, stopped before the end or not."""

    step: int
    history: History
    stopped: bool


def fit(
    state: TrainingState,
    task: Task,
    training: Training,
    writer: CheckpointWriter | None,
    *,
    start: int = 0,
    until: int | None = None,
    history: History,
    validating: bool = True,
    on_record: Callable[[dict[str, Any]], None] = lambda record: None,
    after_first_step: Callable[[], object] = lambda: None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train from `start` steps done until `until` (the end). `stop()` is asked after each step; then the state is saved and that is all.

    Several workers take each step together; the first writes, the others have no `writer`. Not `validating` moves no
    bit of the state. Raises NonFiniteLoss before a step that would spoil the weights.
    """
    schedule, workers = task.schedule, state.workers
    end = schedule.steps if until is None else until
    curve, validations, losses = list(history.curve), list(history.validations), list(history.losses)
    state.model.train()
    marked, marked_step = time.perf_counter(), start
    for done in range(start + 1, end + 1):
        loss, norm = train_step(state, task, training, done - 1)
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
            epoch = schedule.epoch_of(done)
            on_record(
                {**point, "kind": "step", "steps": schedule.steps, "epoch": epoch, "rows_per_second": round(rate, 1)}
            )
        if validating and state.validates_here and schedule.validates(done):
            with SwappedIn(state):
                measured = task.validate(state.model)
            validations.append({"step": done, **measured})
            on_record({"kind": "validation", "step": done, "steps": schedule.steps, "validation": measured})
        boundary = is_boundary(done, schedule.checkpoint_every, schedule.steps)
        stopped = done < end and workers.anyone(stop())
        if boundary or stopped:
            history = replace(history, curve=tuple(curve), validations=tuple(validations), losses=tuple(losses))
            tensors = state.tensors()
            if writer is not None:
                writer.submit(done, tensors, history, boundary)
        if stopped:
            if writer is not None:
                writer.wait()
            return Outcome(done, history, stopped=True)
    history = replace(history, curve=tuple(curve), validations=tuple(validations), losses=tuple(losses))
    if writer is not None:
        writer.wait()
        history = replace(history, segments=writer.segments)
    return Outcome(end, history, stopped=False)


def train_step(state: TrainingState, task: Task, training: Training, step: int) -> tuple[float, float]:
    """One step (from 0): its mean loss, and the gradient's norm before clipping. All workers take it together, each its share."""
    micro_batches = task.schedule.micro_batches
    losses = _losses(state, task, training, step)
    state.workers.arrive(step)
    gradients = state.placement.summed()
    if gradients and micro_batches > 1:  # of more workers than pieces some own none
        torch._foreach_mul_(gradients, 1 / micro_batches)  # pyright: ignore[reportPrivateImportUsage]
    # The norm of the whole gradient is that of the norms of all pieces, in the pieces' order, whoever owns them.
    own = torch._foreach_norm(gradients) if gradients else ()  # pyright: ignore[reportPrivateImportUsage]
    norms, all_losses = state.optimizer.everyones(own, [float(loss) for loss in losses])
    norm = torch.linalg.vector_norm(norms)
    loss = 0.0
    for one in all_losses:  # not sum(), which compensates in some versions of Python
        loss += one
    loss /= micro_batches
    norm_value = float(norm)
    if not (math.isfinite(loss) and math.isfinite(norm_value)):
        raise _non_finite(loss, norm_value, step)
    if gradients and training.gradient_clip is not None and norm_value > training.gradient_clip:
        share = torch.clamp(training.gradient_clip / (norm + 1e-6), max=1.0)
        torch._foreach_mul_(gradients, share)  # pyright: ignore[reportPrivateImportUsage]
    state.optimizer.step(learning_rate(training, step, task.schedule.steps), gradients)
    if state.average:
        state.average.update(step)
    return loss, norm_value


def _losses(state: TrainingState, task: Task, training: Training, step: int) -> list[torch.Tensor]:
    """The losses of this worker's micro-batches; their gradients are summed where `placement` wants them."""
    placement = state.placement
    mine = placement.share(task.schedule.micro_batches)
    losses: list[torch.Tensor] = []
    for micro_batch, batch in zip(mine, _batches(task, step, mine), strict=True):
        placement.before()
        losses.append(_backward(state, task, training, batch, step, micro_batch))
        placement.after()
    return losses


def _batches(task: Task, step: int, mine: range) -> Iterable[MicroBatch]:
    """Neighbours are read at once."""
    if mine.step == 1:
        return task.micro_batches(step, mine.start, len(mine))
    return (task.micro_batches(step, number, 1)[0] for number in mine)


def _backward(
    state: TrainingState, task: Task, training: Training, batch: MicroBatch, step: int, micro_batch: int
) -> torch.Tensor:
    """Forward and backward of one micro-batch; gradients of its mean loss are left in the parameters."""
    key_randomness(training.seed, "step", step, "micro_batch", micro_batch)
    if training.device != "cpu":
        batch = tuple(tensor.to(training.device, non_blocking=True) for tensor in batch)
    with torch.autocast(training.device, torch.bfloat16, enabled=training.precision == "bfloat16"):
        loss = task.loss(state.model, batch)
    loss.backward()
    return loss.detach()


def _non_finite(loss: float, norm: float, step: int) -> NonFiniteLoss:
    what = f"the loss is {loss}" if not math.isfinite(loss) else f"the gradient's norm is {norm}"
    return NonFiniteLoss(
        Finding(
            f"{what} at step {step}",
            f"training step {step}",
            "finite numbers",
            "lower training.learning_rate, set training.gradient_clip, or look for infinite values in what it learns from",
        )
    )
