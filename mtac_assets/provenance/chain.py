"""The chain of segments: does each one start where the one before ended, from the first step to the last?

A replay compares one segment with its own two digests. That all of them together are the training, and not a stretch of another one
put between, is what the links say; so who trusts single segments looks here first. Documents only: no tensors, no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def broken_links(digests: Mapping[str, Any], steps: int | None) -> Iterator[str]:
    """What is wrong with the segments of a `digests.json`, one sentence each; `steps` of the training, None where not known."""
    segments = digests.get("segments")
    if not segments:
        yield "it lists no segments"
        return
    if steps is not None and segments[-1]["end_step"] != steps:
        yield f"its segments end at step {segments[-1]['end_step']}, the losses at step {steps}"
    step, digest, before = 0, digests.get("initial_digest"), "the state before the first step"
    for number, segment in enumerate(segments):
        if segment["start_step"] != step or segment["end_step"] <= segment["start_step"]:
            found = f"{segment['start_step']} to {segment['end_step']}"
            yield f"segment {number} goes from step {found}, and should go on from step {step}"
        if segment["start_digest"] != digest:
            yield f"segment {number} does not start from {before}"
        step, digest, before = segment["end_step"], segment["end_digest"], f"the state in which segment {number} ended"


def foreign_checkpoints(digests: Mapping[str, Any], states: Mapping[int, str]) -> Iterator[str]:
    """Checkpoints (step to the digest of the state they hold) at which no segment starts from that state."""
    starts = {segment["start_step"]: segment["start_digest"] for segment in digests.get("segments", ())}
    for step, digest in sorted(states.items()):
        if starts.get(step) != digest:
            yield f"the checkpoint of step {step} holds a state from which no segment starts"
