"""Starting the trainer in a process of its own, watching it, and turning its end into a pack or an error. No torch here.

The child leads a session of its own, so that it and whatever it started can be ended together at the limit.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding, MtacError
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training import ahead
from mtac_assets.training.child import variables
from mtac_assets.training.errors import (
    EXIT_STOPPED,
    FAILURE,
    SECONDS_VARIABLE,
    NotDeterministic,
    TrainerKilled,
    TrainingFailed,
    TrainingRefused,
    TrainingStopped,
    read_findings,
)
from mtac_assets.training.first_steps import FirstSteps
from mtac_assets.training.launchers.choice import choose
from mtac_assets.training.nursery import Forked
from mtac_assets.training.pack import SEAL, Pack

POLL_SECONDS = 0.05
GRACE_SECONDS = 10.0
MODULE = "mtac_assets.training"
LIBRARIES = ("torch", "torch.optim", "safetensors.torch", "pandas", "pyarrow.parquet", "rich.progress")
Record = dict[str, Any]
Child = subprocess.Popen[bytes] | Forked


def train(
    project: Project,
    resolved: ResolvedRecipe,
    out: Path,
    run_id: str,
    *,
    environment_variables: Mapping[str, str] | None = None,
    on_progress: Callable[[Record], None] | None = None,
    pipes: Mapping[str, str] | None = None,
    probe: bool = False,
    workers: int | None = None,
    when_alone: Callable[[], object] = lambda: None,
) -> Pack:
    """Train `resolved` into `out`, going on from what an earlier attempt left there, and return the sealed pack.

    `workers`: how many, by the environment's launcher; None: as many as the environment says. Their number changes no bit.
    With `probe` a second process takes the first steps too, and NotDeterministic is raised where it comes to other bits; not where
    the environment shards the weights.
    `when_alone` is called once the trainer is the only process: at once, or when that second one has ended.
    `pipes`: the bootstrap variables of an open Dagster Pipes session. `on_progress` gets each line of `progress.jsonl` as it comes.
    Raises TrainingRefused (bad input), TrainingFailed (with the trainer's own findings), TrainerKilled (a signal, named; or the
    environment's `limits.run_seconds`), TrainingStopped (SIGTERM, state saved).
    """
    limits = project.environment.limits
    environment = {
        **variables(project, resolved),
        SECONDS_VARIABLE: str(limits.worker_seconds),
        **(environment_variables or {}),
        **(pipes or {}),
    }
    launcher = project.environment.launcher
    count = workers or launcher.workers
    sharded = launcher.sharded and count > 1
    probe = probe and not sharded  # which needs the whole network in one process
    more = (*(FirstSteps.options if probe else ()), *(("--sharded",) if sharded else ()))
    arguments = trainer_arguments(project, resolved, out, run_id, *more)
    command = choose(launcher)(arguments, count)

    def begin_second(folder: Path, options: Sequence[str]) -> subprocess.Popen[bytes]:
        second = trainer_command(project, resolved, folder, "probe", *options)
        unheard = {**environment, **dict.fromkeys(pipes or {}, "")}
        waiting = ahead.take_spare(MODULE, second[3:], project.root, unheard)
        return waiting or start(second, project.root, unheard)

    tail = _Tail(out / "progress.jsonl", on_progress)
    limit = limits.run_seconds
    with ExitStack() as stack:
        first_steps = stack.enter_context(FirstSteps(out, begin_second, end)) if probe else None
        plain = command[1:3] == ["-m", MODULE]
        child = ahead.take(MODULE, command[3:], project.root, environment) if plain else None
        child = child or start(command, project.root, environment)
        began, alone = time.monotonic(), False
        try:
            while (code := wait(child, POLL_SECONDS)) is None:
                tail.read()
                if first_steps is not None:
                    first_steps.look()
                if not alone and (first_steps is None or first_steps.ended):
                    alone = True
                    when_alone()
                if time.monotonic() - began > limit:
                    end(child)
                    raise TrainerKilled(
                        Finding(
                            f"the training took longer than {limit} s and was ended",
                            "limits.run_seconds of the environment",
                            f"an end within {limit} s",
                            "raise the limit, or train fewer epochs; the next attempt goes on from the last checkpoint",
                        )
                    )
            if code == 0 and first_steps is not None:
                first_steps.finish()
        except BaseException as error:
            end(child)
            if isinstance(error, NotDeterministic):
                (out / SEAL).unlink(missing_ok=True)  # a short training may have been quicker than its probe
            raise
    tail.read()
    if code != 0:
        raise failure(out, run_id, code)
    return Pack.open(out)


def prepare(project: Project, resolved: ResolvedRecipe, *, probe: bool = False) -> None:
    """Begin the trainer's process, to load torch while there is other work; `train` of the same recipe takes it. With `probe` also
    the one that takes the first steps a second time: it loads torch by itself, for two forks would agree in more than they should.
    """
    processes = 2 if probe else 1
    ahead.prepare(MODULE, LIBRARIES, project.root, variables(project, resolved), processes=processes)


def trainer_command(project: Project, resolved: ResolvedRecipe, out: Path, run_id: str, *more: str) -> list[str]:
    """The trainer's command line, for one worker here. To be run from the project's root."""
    return [sys.executable, "-m", MODULE, *trainer_arguments(project, resolved, out, run_id, *more)]


def trainer_arguments(project: Project, resolved: ResolvedRecipe, out: Path, run_id: str, *more: str) -> list[str]:
    """What the trainer is told, whoever starts it; the resolved recipe is written where it can read it."""
    recipe = out.parent / f".recipe-{out.name}.json"
    write_json(recipe, {"schema_version": 1, **resolved.document()})
    options = [
        "--recipe",
        str(recipe),
        "--data",
        str(project.state.data),
        "--out",
        str(out),
        "--run-id",
        run_id,
        "--resume",
    ]
    return [*options, *more]


def start(
    command: Sequence[str], root: Path, variables: Mapping[str, str], stdout: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Standard input is closed, standard error goes where ours goes."""
    return subprocess.Popen(
        command, cwd=root, env=dict(variables), stdin=subprocess.DEVNULL, stdout=stdout, start_new_session=True
    )


def wait(child: Child, seconds: float) -> int | None:
    """The exit code, None where it still runs after `seconds`."""
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def end(child: Child, grace: float = GRACE_SECONDS) -> None:
    """SIGTERM to the child and all it started, time to save the state, then SIGKILL. Harmless where it has ended."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, grace)):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        if wait(child, seconds) is not None and number == signal.SIGKILL:
            break
    child.wait()


def failure(out: Path, run_id: str, code: int) -> MtacError:
    """The error that an exit code and `failure.json` tell of."""
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; the system ends processes so when memory runs out" if -code == signal.SIGKILL else ""
        return TrainerKilled(
            Finding(
                f"the trainer was ended by {name}{hint}",
                str(out),
                "an exit of its own",
                "start it again: it goes on from the last checkpoint; lower training.micro_batch_size if memory ran out",
            )
        )
    paths = [out / FAILURE, *sorted(out.glob("failure.worker-*.json"))]
    told = (read_json(path) for path in paths if path.is_file())
    document = next((one for one in told if one["run_id"] == run_id), None)
    if document is None:
        finding = Finding(
            f"the trainer ended with code {code} and said no more", str(out), "0", "see its last lines above"
        )
        return TrainingFailed(finding)
    # The trainer's own word: a launcher between us may end with a code of its own.
    kind = {EXIT_STOPPED: TrainingStopped, 2: TrainingRefused}.get(document["exit_code"], TrainingFailed)
    error = kind(*read_findings(document))
    if isinstance(error, TrainingFailed):
        error.kind = document["kind"]
    return error


class _Tail:
    """New whole lines of a growing file."""

    def __init__(self, path: Path, receive: Callable[[Record], None] | None) -> None:
        self._path, self._receive, self._place = path, receive, 0
        self._since = clock.timestamp()

    def read(self) -> None:
        if self._receive is None or not self._path.is_file():
            return
        if self._path.stat().st_size < self._place:
            self._place = 0  # a resuming trainer has rewritten it
        with self._path.open("rb") as stream:
            stream.seek(self._place)
            data = stream.read()
        whole = data.rpartition(b"\n")[0]
        self._place += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            record = json.loads(line)
            if record["time"] >= self._since:
                self._receive(record)
