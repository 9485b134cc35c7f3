"""What the trainer is asked inside a clean room: prepare, train whole, or replay segments side by side; and its own environment.

How its processes are run is `trainer`'s matter.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtac_assets.promotion.clean_room import CleanRoom
from mtac_assets.promotion.errors import PromotionError
from mtac_assets.promotion.trainer import Trainer, last_lines, lent_engine
from mtac_assets.provenance.files import read_json
from mtac_assets.provenance.finder import ENGINE, ENGINE_ROOT
from mtac_assets.spec.errors import Finding


@dataclass(frozen=True)
class Prepared:
    """What the room declares itself to be, before anything is trained, and the training set that it built."""

    declaration: dict[str, Any]
    training_set: Path


def prepare(trainer: Trainer) -> Prepared:
    """Build features and training set in the room, and let its code say which fingerprint that makes."""
    document = json.loads(trainer.run("--out", str(trainer.room.out), "--prepare"))
    return Prepared(document["declaration"], Path(document["training_set"]))


def train_whole(trainer: Trainer, prepared: Prepared) -> dict[str, Any]:
    """Train from the first step to the last; the new pack's `digests.json`."""
    out = trainer.room.out
    trainer.run("--out", str(out), "--training-set", str(prepared.training_set))
    return read_json(out / "digests.json")


def replay_segments(
    trainer: Trainer, prepared: Prepared, numbers: Sequence[int], workers: int
) -> dict[int, dict[str, Any]]:
    """Replay each segment from the checkpoint at its start, `workers` at a time: number to the trainer's answer."""

    with ThreadPoolExecutor(workers) as threads:
        answers = threads.map(lambda number: _replay(trainer, prepared, number), numbers)
        return dict(zip(numbers, answers, strict=True))


def replay_and_keep(trainer: Trainer, prepared: Prepared, number: int, folder: Path) -> None:
    """Replay a segment and keep the state that it ends in, as a checkpoint in `folder`. PromotionError where the model's trainer
    is of before it could."""
    _replay(trainer, prepared, number, "--keep", str(folder))


def _replay(trainer: Trainer, prepared: Prepared, number: int, *more: str) -> dict[str, Any]:
    model = trainer.room.model
    arguments = ("--out", str(model), "--training-set", str(prepared.training_set), "--allow-environment")
    return json.loads(trainer.run(*arguments, "--replay-segment", str(number), *more))


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
    # Not compiled: most modules are never imported, and the others are compiled when they are.
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [*pip, *pins, "-r", str(lock)],
    ):
        done = subprocess.run(command, cwd=room.root, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PromotionError(
                Finding(
                    f"the model's own environment could not be installed: {last_lines(done.stderr)}",
                    str(lock),
                    "every pinned distribution still to be had",
                    _index_remedy(lock),
                )
            )
    if not (room.root / ENGINE).is_dir():
        lent = lent_engine(room)
        lent.mkdir()
        (lent / ENGINE).symlink_to(ENGINE_ROOT / ENGINE, target_is_directory=True)
    return python


def _index_remedy(lock: Path) -> str:
    """What an index has to serve. A local version (`+cpu`) is on no public index but its maker's own."""
    remedy = "keep a package index or a folder of wheels with these versions (PIP_FIND_LINKS)"
    local = [line for line in lock.read_text().splitlines() if "+" in line]
    if not local:
        return remedy
    return f"{remedy}; {', '.join(local)} is a local version, which PyPI does not serve: name its maker's index (PIP_EXTRA_INDEX_URL)"
