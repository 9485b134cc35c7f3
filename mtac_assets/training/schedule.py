"""Lengths of a training: steps, rows, micro-batches, and where something happens between them."""

from __future__ import annotations

from dataclasses import dataclass

from mtac_assets.spec.errors import Finding
from mtac_assets.spec.recipe import Training
from mtac_assets.training.errors import TrainingRefused

CURVE_POINTS = 100


@dataclass(frozen=True)
class Schedule:
    """`rows` is an epoch's, or None where there are none (text): then validation goes with the checkpoints."""

    rows: int | None
    steps: int
    batch_size: int
    micro_batch_size: int
    checkpoint_every: int

    @classmethod
    def of(cls, training: Training, rows: int | None, steps: int) -> Schedule:
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
        return cls(rows, steps, training.batch_size, training.micro_batch_size, training.checkpoint_every_steps)

    @property
    def micro_batches(self) -> int:
        """Micro-batches a step, a power of two."""
        return self.batch_size // self.micro_batch_size

    @property
    def curve_every(self) -> int:
        return max(1, self.steps // CURVE_POINTS)

    def epoch_of(self, done: int) -> int:
        """The epoch (from 0) that the last row of the first `done` steps belongs to."""
        return 0 if self.rows is None else (done * self.batch_size - 1) // self.rows

    def validates(self, step: int) -> bool:
        """Whether an epoch's last row was seen in the step before `step` (without epochs: a checkpoint is due), or training ends."""
        if step == self.steps:
            return True
        if self.rows is None:
            return step % self.checkpoint_every == 0
        return step * self.batch_size // self.rows > (step - 1) * self.batch_size // self.rows
