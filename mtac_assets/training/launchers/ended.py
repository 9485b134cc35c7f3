"""What the ends of several workers mean: which of them is to blame, and what is told of one that a signal ended. No torch here."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from mtac_assets.spec.errors import Finding
from mtac_assets.training.errors import EXIT_STOPPED, TrainerKilled, failure_path, write_failure

GRACE_SECONDS = 8.0
"""That the others have to notice that one of them is gone, and to say so, before they are ended too."""


def to_blame(codes: Sequence[int | None], first: int | None = None) -> int | None:
    """The worker whose end is the cause, by exit codes (None: had to be ended); None where all is well.

    A signal comes before refused input, that before the one that ended badly `first`. Those that stop at SIGTERM all do so with the
    state saved, and none of them is to blame.
    """
    ended = [rank for rank, code in enumerate(codes) if code]
    killed = [rank for rank in ended if (codes[rank] or 0) < 0]
    refused = [rank for rank in ended if codes[rank] not in (1, EXIT_STOPPED)]
    return next(iter([*killed, *refused, *([first] if first is not None else []), *ended]), None)


def exit_code(out: Path, run_id: str, codes: Sequence[int | None], first: int | None = None) -> int:
    """The training's, after all workers have ended: 0, or that of the one to blame; one that a signal ended is told of."""
    failed = to_blame(codes, first)
    if failed is None:
        return 0
    code = codes[failed] or 1
    if code > 0:
        return code
    name = signal.Signals(-code).name
    hint = "; the system ends processes so when memory runs out" if -code == signal.SIGKILL else ""
    tell(out, run_id, failed, len(codes), f"was ended by {name}{hint}")
    return 1


def tell(out: Path, run_id: str, rank: int, workers: int, what: str) -> None:
    """That a worker is gone, in the training's own `failure.json`: others may have failed only because of this one."""
    error = TrainerKilled(
        Finding(
            f"worker {rank} of {workers} {what}",
            str(out),
            "an exit of its own",
            "start it again, with as many or fewer workers: it goes on from the last checkpoint",
        )
    )
    print(error, file=sys.stderr, flush=True)
    out.mkdir(parents=True, exist_ok=True)
    write_failure(out, run_id, error)
    for other in range(1, workers):
        failure_path(out, other).unlink(missing_ok=True)
