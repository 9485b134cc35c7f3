"""The room's trainer, run in processes of its own: what they are told, what they answer, and their end.

The room's own code runs, not ours: the trainer's command line is the contract between a model of long ago and today. Each process
is a fork of one that has loaded the libraries alone while the room was being filled (`training.nursery`): torch is loaded once for
a reproduction (in a replay once for all of them) instead of once a segment, which took half of two workers' time where a training takes 5 s. Plain processes are
started where a fork would be another thing: in an environment made from the model's own lock, for a model whose recipe wants its
libraries loaded under other variables than it recorded, and where they cannot be loaded.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from mtac_assets.promotion.clean_room import CleanRoom
from mtac_assets.promotion.errors import PromotionError
from mtac_assets.provenance.files import read_json
from mtac_assets.provenance.usage import Usage
from mtac_assets.spec.errors import Finding, MtacError, SpecError
from mtac_assets.spec.load import load_resolved
from mtac_assets.spec.project import DEFAULT_ENVIRONMENT, ENVIRONMENT_VARIABLE, STATE_VARIABLE, find_project
from mtac_assets.training import flags, own_limit
from mtac_assets.training.launch import LIBRARIES, MODULE
from mtac_assets.training.nursery import COMMON, Forked, Nursery, forking, nursery

_SHOWN_LINES = 12


@dataclass(frozen=True)
class Trainer:
    """`python`: the interpreter, None for our own. `mothers`: who forks its processes, None where each is started; `before`: what
    their forks had used when it began."""

    room: CleanRoom
    variables: Mapping[str, str]
    mothers: Nursery | None = None
    before: Usage = field(default_factory=Usage)
    python: Path | None = None

    def by(self, python: Path) -> Trainer:
        """The same trainer in another interpreter's environment, from now on."""
        return replace(self, python=python, mothers=None, variables=_variables(self.room))

    @property
    def forks_used(self) -> Usage:
        """By forks that have ended: they are not this process's children, and its own account lacks them."""
        return self.mothers.used.since(self.before) if self.mothers is not None else Usage()

    def run(self, *arguments: str) -> str:
        """One call of the room's trainer; its standard output. PromotionError with its last words where it fails."""
        room = self.room
        recipe = room.model / "recipe.json"
        told = ["--recipe", str(recipe), "--data", str(room.data), "--run-id", "reproduction", *arguments]
        child: subprocess.Popen[bytes] | Forked | None = None
        try:
            if self.mothers is not None:
                child = self.mothers.fork(
                    MODULE, told, room.root, self.variables, piped=True, answers=True, seconds=room.limit_seconds
                )
            child = child or self._started(told)
            output, said = child.communicate(timeout=room.limit_seconds)
        except BaseException as error:
            if child is not None:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                raise PromotionError(
                    Finding(
                        f"the rebuilding took longer than {room.limit_seconds} s and was ended",
                        "limits.run_seconds of the environment",
                        f"an end within {room.limit_seconds} s",
                        "raise the limit, or replay segments on more workers: `--segments all --workers N`",
                    )
                ) from error
            raise
        if child.returncode != 0:
            raise PromotionError(
                Finding(
                    f"the model's own trainer ended with code {child.returncode}: {last_lines(said.decode(errors='replace'))}",
                    f"{room.model.parent.name}, {' '.join(arguments)}",
                    "0",
                    "its last lines above say what is missing; `--install` builds the model's own environment",
                )
            )
        return output.decode()

    def _started(self, told: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(self.python or sys.executable), "-m", MODULE, *told],
            cwd=self.room.root,
            env=dict(self.variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


@contextmanager
def trainer(room: CleanRoom, *, fork: bool) -> Iterator[Trainer]:
    """The trainer of a room whose commit is laid out. With `fork` the libraries are loaded from now on, where the model says how."""
    variables = _variables(room)
    if not fork or not _loads_as_recorded(room):
        yield Trainer(room, variables)
        return
    shared = forking(MODULE)
    with nullcontext(shared) if shared is not None else nursery({MODULE: (*LIBRARIES, *COMMON)}) as mothers:
        mothers.begin(MODULE, room.root, variables)
        yield Trainer(room, variables, mothers, before=mothers.used)


def _loads_as_recorded(room: CleanRoom) -> bool:
    """Whether the recipe's variables are those that were recorded. Else the trainer starts itself again with them, as no fork can."""
    try:
        training = load_resolved(room.model / "recipe.json").recipe.training
    except MtacError:
        return False  # its own trainer says what is wrong with it
    return flags.variables(training).items() <= _flags(room).items()


def _variables(room: CleanRoom) -> dict[str, str]:
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    paths = [str(path) for path in (room.root, lent_engine(room)) if path.is_dir()]
    variables |= _flags(room) | {"PYTHONPATH": os.pathsep.join(paths), STATE_VARIABLE: str(room.out.parent / "state")}
    return variables | {own_limit.VARIABLE: str(room.limit_seconds), ENVIRONMENT_VARIABLE: _environment(room)}


def lent_engine(room: CleanRoom) -> Path:
    """Where an installed environment finds this engine, for a project that holds none."""
    return room.out.parent / "engine"


def _flags(room: CleanRoom) -> dict[str, str]:
    """The variables that the model's trainer declared: with them set it need not start itself again to have them."""
    path = room.model / "environment.json"
    declared: dict[str, str] = read_json(path).get("declared_flags", {}) if path.is_file() else {}
    prefix = "variable."
    return {name.removeprefix(prefix): value for name, value in declared.items() if name.startswith(prefix)}


def _environment(room: CleanRoom) -> str:
    """Ours where the model's commit has one of that name; `local` for a model that is older than it. Neither decides a weight."""
    name = os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_ENVIRONMENT
    try:
        find_project(room.root, name)
    except SpecError:
        return DEFAULT_ENVIRONMENT
    return name


def last_lines(text: str) -> str:
    """What a process said last, for a finding."""
    return "\n".join(text.strip().splitlines()[-_SHOWN_LINES:])
