"""Writing checkpoints behind the loop's back, and with them the chain of segments.

The loop hands over a copy of the state and goes on; digest, serialisation and fsync happen in a thread. One write is in flight at a
time, so memory holds one extra copy at most, and the error of a write is raised at the next hand-over or at the end, never lost.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from mtac_assets.provenance.lease import Lease
from mtac_assets.training import checkpoint
from mtac_assets.training.checkpoint import History, Identity
from mtac_assets.training.segments import Segment, extended
from mtac_assets.training.state import Tensors
from mtac_assets.training.tensors import weights_digest


class CheckpointWriter:
    """`folder` None keeps nothing and only computes digests: a replay needs no more. `lease` fences each write."""

    def __init__(self, folder: Path | None, identity: Identity, history: History, lease: Lease | None = None) -> None:
        self.segments: tuple[Segment, ...] = history.segments
        self.last_digests: dict[str, str] = {}
        self._folder, self._identity, self._lease = folder, identity, lease
        self._initial = history.initial_digest
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None

    def submit(self, step: int, tensors: Tensors, history: History, boundary: bool) -> None:
        """Write the state after `step` steps once the write before has ended; what that one raised is raised here.

        At a boundary a segment ends; elsewhere (SIGTERM) the checkpoint is a rescue, removed when the next boundary is reached.
        """
        self.wait()
        self._pending = self._pool.submit(self._write, step, tensors, history, boundary)

    def wait(self) -> None:
        """Until nothing is in flight; what the write raised is raised here."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _write(self, step: int, tensors: Tensors, history: History, boundary: bool) -> None:
        digest, self.last_digests = weights_digest(tensors)
        if boundary:
            self.segments = extended(self.segments, self._initial, step, digest)
        if self._folder is None:
            return
        with self._lease.fence() if self._lease else nullcontext():
            checkpoint.write(
                self._folder, step, tensors, digest, self._identity, replace(history, segments=self.segments)
            )
            if boundary:
                ends = {segment.end_step for segment in self.segments}
                for other in checkpoint.steps_in(self._folder):
                    if other < step and other not in ends:
                        checkpoint.remove(self._folder, other)

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Also when the loop failed: a checkpoint that is being written is worth its last milliseconds.
        try:
            if kind is None:
                self.wait()
        finally:
            self._pool.shutdown(wait=True)
