"""The trainer, run inside a clean room in processes of its own: prepare, train whole, or replay segments side by side.

The room's own code runs, not ours: the trainer's command line is the contract between a model of long ago and today.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtac_assets.promotion.clean_room import CleanRoom
from mtac_assets.promotion.errors import PromotionError
from mtac_assets.provenance.files import read_json
from mtac_assets.provenance.finder import ENGINE, ENGINE_ROOT
from mtac_assets.spec.errors import Finding, SpecError
from mtac_assets.spec.project import DEFAULT_ENVIRONMENT, ENVIRONMENT_VARIABLE, STATE_VARIABLE, find_project
from mtac_assets.training import own_limit

TRAINER = ("-m", "mtac_assets.training")
_SHOWN_LINES = 12


@dataclass(frozen=True)
class Prepared:
    """What the room declares itself to be, before anything is trained, and the training set that it built."""

    declaration: dict[str, Any]
    training_set: Path


def prepare(room: CleanRoom, python: Path | None = None) -> Prepared:
    """Build features and training set in the room, and let its code say which fingerprint that makes."""
    document = json.loads(_run(room, python, "--out", str(room.out), "--prepare"))
    return Prepared(document["declaration"], Path(document["training_set"]))


def train_whole(room: CleanRoom, prepared: Prepared, python: Path | None = None) -> dict[str, Any]:
    """Train from the first step to the last; the new pack's `digests.json`."""
    _run(room, python, "--out", str(room.out), "--training-set", str(prepared.training_set))
    return read_json(room.out / "digests.json")


def replay_segments(
    room: CleanRoom, prepared: Prepared, numbers: Sequence[int], workers: int, python: Path | None = None
) -> dict[int, dict[str, Any]]:
    """Replay each segment from the checkpoint at its start, `workers` at a time: number to the trainer's answer."""

    with ThreadPoolExecutor(workers) as threads:
        answers = threads.map(lambda number: _replay(room, prepared, number, python), numbers)
        return dict(zip(numbers, answers, strict=True))


def replay_and_keep(room: CleanRoom, prepared: Prepared, number: int, folder: Path, python: Path | None = None) -> None:
    """Replay a segment and keep the state that it ends in, as a checkpoint in `folder`. PromotionError where the model's trainer
    is of before it could."""
    _replay(room, prepared, number, python, "--keep", str(folder))


def _replay(room: CleanRoom, prepared: Prepared, number: int, python: Path | None, *more: str) -> dict[str, Any]:
    arguments = ("--out", str(room.model), "--training-set", str(prepared.training_set), "--allow-environment")
    return json.loads(_run(room, python, *arguments, "--replay-segment", str(number), *more))


def require_python(room: CleanRoom, *, allow_another: bool) -> None:
    """A virtual environment has the Python that makes it: a lock pins distributions, and no interpreter."""
    trained_by = read_json(room.model / "declaration.json")["leaves"].get("environment.python")
    here = f"{platform.python_implementation()} {platform.python_version()}"
    if trained_by != here and not allow_another:
        raise PromotionError(
            Finding(
                f"the model was trained by {trained_by}, and this is {here}",
                f"{room.model.name}/declaration.json, environment.python",
                f"{trained_by}, which a virtual environment cannot install",
                "start mtac by that Python; `--allow-environment` rebuilds by this one",
            )
        )


def install(room: CleanRoom, project_root: Path) -> Path:
    """A virtual environment from the model's own lock; its interpreter. The project's `constraints.txt` pins the rest.

    The engine counts as code and is in no lock. Where the project does not hold it, this one is lent, alone: the declaration
    compares it function by function.
    """
    folder = room.out.parent / "venv"
    python = folder / "bin" / "python"
    lock = room.model / "requirements.txt"
    constraints = room.root / "constraints.txt"
    pins = ["-c", str(constraints)] if constraints.is_file() else []
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, *pins, "-r", str(lock)],
    ):
        done = subprocess.run(command, cwd=room.root, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PromotionError(
                Finding(
                    f"the model's own environment could not be installed: {_last_lines(done.stderr)}",
                    str(lock),
                    "every pinned distribution still to be had",
                    _index_remedy(lock),
                )
            )
    if not (room.root / ENGINE).is_dir():
        lent = _lent_engine(room)
        lent.mkdir()
        (lent / ENGINE).symlink_to(ENGINE_ROOT / ENGINE, target_is_directory=True)
    return python


def _lent_engine(room: CleanRoom) -> Path:
    return room.out.parent / "engine"


def _index_remedy(lock: Path) -> str:
    """What an index has to serve. A local version (`+cpu`) is on no public index but its maker's own."""
    remedy = "keep a package index or a folder of wheels with these versions (PIP_FIND_LINKS)"
    local = [line for line in lock.read_text().splitlines() if "+" in line]
    if not local:
        return remedy
    return f"{remedy}; {', '.join(local)} is a local version, which PyPI does not serve: name its maker's index (PIP_EXTRA_INDEX_URL)"


def _run(room: CleanRoom, python: Path | None, *arguments: str) -> str:
    """One call of the room's trainer; its standard output. PromotionError with its last words where it fails."""
    recipe = room.model / "recipe.json"
    common = ["--recipe", str(recipe), "--data", str(room.data), "--run-id", "reproduction"]
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    paths = [str(path) for path in (room.root, _lent_engine(room)) if path.is_dir()]
    variables |= _flags(room) | {"PYTHONPATH": os.pathsep.join(paths), STATE_VARIABLE: str(room.out.parent / "state")}
    variables |= {own_limit.VARIABLE: str(room.limit_seconds), ENVIRONMENT_VARIABLE: _environment(room)}
    child = subprocess.Popen(
        [str(python or sys.executable), *TRAINER, *common, *arguments],
        cwd=room.root,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, said = child.communicate(timeout=room.limit_seconds)
    except BaseException as error:
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
                f"the model's own trainer ended with code {child.returncode}: {_last_lines(said)}",
                f"{room.model.parent.name}, {' '.join(arguments)}",
                "0",
                "its last lines above say what is missing; `--install` builds the model's own environment",
            )
        )
    return output


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


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_SHOWN_LINES:])
