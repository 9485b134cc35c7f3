"""Segments: training as a chain of stretches between checkpoints, each with the digest of the state it starts and ends with.

A segment can be replayed alone, on any machine, from the checkpoint at its start: equal end digests mean that this stretch is
reproduced. Boundaries lie at multiples of `checkpoint_every_steps` and at the end, whatever interrupted the training.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Segment:
    """Steps start_step .. end_step - 1. Digests cover the whole state (`state.TrainingState.tensors`)."""

    start_step: int
    end_step: int
    start_digest: str
    end_digest: str

    def document(self) -> dict[str, Any]:
        return asdict(self)


def next_boundary(step: int, every: int, steps: int) -> int:
    """The first boundary after `step`."""
    return min((step // every + 1) * every, steps)


def is_boundary(step: int, every: int, steps: int) -> bool:
    return step > 0 and (step % every == 0 or step == steps)


def extended(segments: tuple[Segment, ...], initial_digest: str, step: int, digest: str) -> tuple[Segment, ...]:
    """The chain with one more link, from where it ends to the state with `digest` at `step`."""
    start, start_digest = (segments[-1].end_step, segments[-1].end_digest) if segments else (0, initial_digest)
    assert start < step, "a boundary is reached once"
    return (*segments, Segment(start, step, start_digest, digest))
