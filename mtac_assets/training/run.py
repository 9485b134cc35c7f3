"""One training from beginning to sealed pack: resume, loop, checks, pack. `replay` and `probe` are the other things to do with inputs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch

from mtac_assets.provenance.files import TEMPORARY_PREFIX, write_json
from mtac_assets.provenance.lease import Lease, acquire
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.recipe import Training
from mtac_assets.training import checkpoint, pack, resume
from mtac_assets.training.begin import Beginning, begin
from mtac_assets.training.checkpoint import Checkpoint, History
from mtac_assets.training.checkpoint_writer import CheckpointWriter
from mtac_assets.training.determinism import require_declared
from mtac_assets.training.errors import CodeOutsideClosure, TrainingFailed, TrainingStopped
from mtac_assets.training.inputs import Inputs
from mtac_assets.training.loop import Outcome, fit
from mtac_assets.training.pack import Pack
from mtac_assets.training.progress import FILE, FileSink, Progress, Sink
from mtac_assets.training.sealing import result, write_pack
from mtac_assets.training.spent import Spent, everyones
from mtac_assets.training.state import Tensors
from mtac_assets.training.workers import ALONE, Workers

LEASE = ".lease.json"


def run(
    inputs: Inputs,
    out: Path,
    run_id: str,
    *,
    may_resume: bool = True,
    sinks: tuple[Sink, ...] = (),
    stop: Callable[[], bool] = lambda: False,
    workers: Workers = ALONE,
    sharded: bool = False,
) -> Pack | None:
    """Train into `out` and seal it; a sealed pack of the same fingerprint is returned as it is. Of several workers the first writes.
    `sharded`: no worker holds all weights (`placement`); the same bits.

    Raises TrainingStopped when `stop()` said so and the state is saved; TrainingFailed, TrainingRefused as their names say.
    None for every worker but the first.
    """
    if not workers.first:
        return follow(inputs, workers, stop, sharded=sharded)
    out.mkdir(parents=True, exist_ok=True)
    lease = acquire(out / LEASE)
    with ExitStack() as stack:
        stack.callback(lease.release)
        stack.enter_context(lease.kept())
        finished = _finished(inputs, out)
        if finished:
            workers.told({"finished": True})
            return finished
        for leftover in (*out.glob(f"{TEMPORARY_PREFIX}*"), *out.glob("failure.*")):
            leftover.unlink()
        return _train(inputs, out, run_id, lease, may_resume, sinks, stop, workers, sharded)


def follow(inputs: Inputs, workers: Workers, stop: Callable[[], bool], *, sharded: bool = False) -> None:
    """What every worker but the first does: the same steps on its own share, and nothing written."""
    told = workers.told(None)
    if told["finished"]:
        return
    began = time.perf_counter()
    training = inputs.resolved.recipe.training
    beginning = begin(inputs, workers, sharded=sharded)
    _same_beginning(beginning)
    if told["resumed"] is not None:
        received = {
            name: torch.empty(shape, dtype=getattr(torch, kind)) for name, (kind, shape) in told["tensors"].items()
        }
        beginning.state.restore(_broadcast(workers, received))
    outcome = fit(
        beginning.state,
        beginning.task,
        training,
        None,
        start=told["resumed"] or 0,
        history=History(""),
        after_first_step=lambda: _flags(beginning, training, "after the first step"),
        stop=stop,
    )
    if not outcome.stopped:
        _flags(beginning, training, "after the last step")
        _require_declared_code(inputs)
        result(beginning)
        everyones(workers, training.device, began)


def _finished(inputs: Inputs, out: Path) -> Pack | None:
    if not (out / pack.SEAL).is_file():
        return None
    found = Pack.open(out)
    found.verify()
    if found.fingerprint != inputs.fingerprint:
        raise TrainingFailed(
            Finding(
                f"the folder holds the model {found.model_id}", str(out), inputs.model_id, "train into another folder"
            )
        )
    return found


def _train(
    inputs: Inputs,
    out: Path,
    run_id: str,
    lease: Lease,
    may_resume: bool,
    sinks: tuple[Sink, ...],
    stop: Callable[[], bool],
    workers: Workers,
    sharded: bool,
) -> Pack:
    began = time.perf_counter()
    training = inputs.resolved.recipe.training
    folder = out / checkpoint.FOLDER
    notes: list[str] = []
    if not may_resume:
        resume.require_empty(folder)
    found = resume.newest(folder, inputs.identity, notes.append)
    write_json(out / "declaration.json", inputs.declaration)
    write_json(out / "recipe.json", {"schema_version": 1, **inputs.resolved.document()})
    tensors = {} if found is None else found.tensors
    listed = {name: (str(tensor.dtype).removeprefix("torch."), list(tensor.shape)) for name, tensor in tensors.items()}
    workers.told({"finished": False, "resumed": found.step if found else None, "tensors": listed})
    beginning = begin(inputs, workers, sharded=sharded)
    _same_beginning(beginning)
    history = _history(beginning, found)
    start = found.step if found else 0
    flags_seen: dict[str, str] = {}
    spent = Spent(out, workers, training.device, began)

    def after_first_step() -> None:
        flags_seen.update(_flags(beginning, training, "after the first step"))

    with (
        Progress(FileSink(out / FILE, start), spent, *sinks) as progress,
        CheckpointWriter(folder, inputs.identity, history, lease) as writer,
    ):
        for note in notes:
            progress.note(note)
        if found:
            progress.note(f"resumed at step {start} of {beginning.task.schedule.steps}")
        loop_began = time.perf_counter()
        outcome = fit(
            beginning.state,
            beginning.task,
            training,
            writer,
            start=start,
            history=history,
            on_record=progress.record,
            after_first_step=after_first_step,
            stop=stop,
        )
        seconds = {"loop": time.perf_counter() - loop_began, "total": time.perf_counter() - began}
        if outcome.stopped:
            raise _stopped(out, outcome, beginning)
        flags_seen |= _flags(beginning, training, "after the last step")
        _require_declared_code(inputs)
        ended = result(beginning)
        used = everyones(workers, training.device, began)
        _remark(beginning, outcome, progress)
        with lease.fence():
            return write_pack(
                inputs,
                out,
                run_id,
                beginning,
                ended,
                outcome,
                flags_seen,
                seconds,
                progress.notes,
                start,
                spent.total(used),
                spent.attempts,
            )


def _history(beginning: Beginning, found: Checkpoint | None) -> History:
    """What was measured before; the state is restored on the way. A beginning that came out differently is the end of it."""
    initial = beginning.initial_digest
    if found is None:
        return History(initial)
    if found.history.initial_digest != initial:
        raise TrainingFailed(
            Finding(
                "the model before its first step is not the one that this training began with",
                f"checkpoint of step {found.step}",
                f"state digest {found.history.initial_digest}",
                "its initialisation or constants are not deterministic: mtac probe names the tensor",
            )
        )
    beginning.state.restore(_broadcast(beginning.state.workers, found.tensors))
    return found.history


def _broadcast(workers: Workers, tensors: Tensors) -> Tensors:
    """The first worker's tensors, on every worker."""
    for name in sorted(tensors):
        workers.broadcast(tensors[name])
    return tensors


def _same_beginning(beginning: Beginning) -> None:
    beginning.state.workers.require_same(beginning.initial_digest, "the state before the first step")


def _flags(beginning: Beginning, training: Training, moment: str) -> dict[str, str]:
    return require_declared(training, next(beginning.state.model.parameters()), moment)


def _require_declared_code(inputs: Inputs) -> None:
    """Everything of the project that is loaded now must have been part of the fingerprint."""
    if inputs.project is None:
        return
    from mtac_assets.provenance.closure import loaded_outside_closure

    outside = loaded_outside_closure(inputs.project, inputs.resolved, dict(sys.modules))
    if outside:
        raise CodeOutsideClosure(
            *(
                Finding(
                    f"the module {name} was loaded and is not part of the fingerprint",
                    f"{getattr(sys.modules[name], '__file__', name)}",
                    "only code that the recipe's import closure reaches",
                    "import it plainly at the top of the module that needs it",
                )
                for name in outside
            )
        )


def _remark(beginning: Beginning, outcome: Outcome, progress: Progress) -> None:
    if outcome.history.validations:
        said = beginning.task.remark(outcome.history.validations[-1])
        if said is not None:
            progress.note(said)


def _stopped(out: Path, outcome: Outcome, beginning: Beginning) -> TrainingStopped:
    return TrainingStopped(
        Finding(
            f"stopped by SIGTERM after step {outcome.step} of {beginning.task.schedule.steps}; the state is saved",
            str(out / checkpoint.FOLDER),
            "the end of the training",
            "start it again with --resume: it goes on from there",
        )
    )
