"""The trainer as a process: variables from the first instruction on, signals, exit codes. What `__main__` and tests' trainers share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mtac_assets.spec.errors import Finding, MtacError
from mtac_assets.spec.recipe import Training
from mtac_assets.training import flags
from mtac_assets.training.errors import OutOfMemory, TrainingRefused, WorkerLost, failure_path, write_failure

RESTARTED = "MTAC_TRAINER_RESTARTED"


def require_variables(training: Training) -> None:
    """Start this process again where a variable is missing that libraries read when they are loaded. Before torch is imported."""
    missing = flags.missing_variables(training)
    if not missing:
        return
    assert "torch" not in sys.modules, "torch has read its variables already"
    if os.environ.get(RESTARTED):
        names = ", ".join(missing)
        raise TrainingRefused(
            Finding(
                f"{names} do not stay set", "environment variables", str(missing), "find what changes them at start"
            )
        )
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **missing, RESTARTED: "1"})


class StopRequest:
    """SIGTERM is remembered; the loop asks after each step."""

    def __init__(self) -> None:
        self.received = False
        signal.signal(signal.SIGTERM, self._remember)

    def _remember(self, *_: object) -> None:
        self.received = True

    def __call__(self) -> bool:
        return self.received


@contextmanager
def memory_errors_named(out: Path) -> Iterator[None]:
    """Running out of memory becomes a finding of its own, whoever noticed it: Python, torch's CPU allocator, or CUDA."""
    try:
        yield
    except MemoryError as error:
        raise _out_of_memory(out, str(error) or "an allocation failed") from error
    except RuntimeError as error:
        if "not enough memory" in str(error) or "out of memory" in str(error) or "can't allocate memory" in str(error):
            raise _out_of_memory(out, str(error).splitlines()[0]) from error
        raise


def _out_of_memory(out: Path, said: str) -> OutOfMemory:
    remedy = "lower training.micro_batch_size or the model's width, or train where there is more memory"
    return OutOfMemory(Finding(f"out of memory: {said}", str(out), "enough memory for one micro-batch", remedy))


def exit_code(out: Path, run_id: str, work: Callable[[], object]) -> int:
    """Do `work`; an MtacError becomes `failure.json` (of this worker, where there are several), lines on standard error, and its exit code."""
    worker = int(os.environ.get("RANK", "0"))
    try:
        with memory_errors_named(out):
            work()
    except MtacError as error:
        out.mkdir(parents=True, exist_ok=True)
        write_failure(out, run_id, error, worker)
        print(error, file=sys.stderr, flush=True)
        if isinstance(error, WorkerLost):
            os._exit(error.exit_code)  # the group's own threads may wait for the lost one without end
        return error.exit_code
    failure_path(out, worker).unlink(missing_ok=True)
    return 0
