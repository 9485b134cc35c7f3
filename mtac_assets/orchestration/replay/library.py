"""Models that were trained in a replay, by Model ID: what one policy has made, another takes over instead of training it again.

Belongs here: packs, reports, training sets, scores of baselines, the verdict of a reproduction, and what the training cost. A model is
decided by its fingerprint alone, so a pack taken over is, byte for byte, the one that would have been trained; its digests are checked
wherever it is used, and so are a training set's.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.files import publish_folder, temporary_path, write_json
from mtac_assets.provenance.intact import pack_problems
from mtac_assets.provenance.turns import turn

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.training.nursery import Nursery

SCHEMA_VERSION = 1
COST, REPRODUCTION = "cost.json", "reproduction.json"
PACK, REPORT, TRAINING_SETS = "pack", "report", "training_sets"


@dataclass(frozen=True)
class Library:
    """The folder of all replays of a project."""

    folder: Path

    @property
    def baselines(self) -> Path:
        """Where scores of baselines are kept (`evaluation.kept_baselines`)."""
        return self.folder / "baselines"

    @contextmanager
    def alone(self, model_id: str, *, wait: bool) -> Iterator[bool]:
        """Whoever trains a model does so within this block, so that nobody else trains it too. True where the block is alone;
        without `wait` it is False where another process is."""
        with turn(self.folder / f".{model_id}.lock", None if wait else 0.0) as ours:
            yield ours

    def lend(self, project: Project, model_id: str) -> bool:
        """Put the model, its report and what it learned from into the state of `project`; False where it is not here. One that is there
        is kept."""
        mine, state = self.folder / model_id, project.state
        if not (mine / COST).is_file() or pack_problems(mine / PACK):
            return False
        lent = {mine / PACK: state.models / model_id, mine / REPORT: state.reports / model_id}
        lent |= {path: state.training_sets / path.name for path in _folders(mine / TRAINING_SETS)}
        for source, target in lent.items():
            if source.is_dir() and not target.is_dir():
                _link(source, target)
        return True

    def take(self, project: Project, model_id: str, cost: Mapping[str, float | None]) -> None:
        """Keep a model that was trained just now, with what that cost; one that is here already stays. The training sets that no model
        came with before are those that it came with."""
        mine, state = self.folder / model_id, project.state
        if (mine / COST).is_file():
            return
        shutil.rmtree(mine, ignore_errors=True)
        known = {path.name for path in self.folder.glob(f"*/{TRAINING_SETS}/*")}
        _link(state.models / model_id, mine / PACK)
        if (state.reports / model_id).is_dir():
            _link(state.reports / model_id, mine / REPORT)
        for path in _folders(state.training_sets):
            if path.name not in known:
                _link(path, mine / TRAINING_SETS / path.name)
        write_json(mine / COST, {"schema_version": SCHEMA_VERSION, "model_id": model_id, **cost})

    def cost(self, model_id: str) -> dict[str, Any] | None:
        return read_object(self.folder / model_id / COST)

    def reproduction(self, model_id: str) -> dict[str, Any] | None:
        """Evidence of a rebuild that came out identical; None where there was none."""
        found = read_object(self.folder / model_id / REPRODUCTION)
        return None if found is None else found["evidence"]

    def keep_reproduction(self, model_id: str, evidence: Mapping[str, Any]) -> None:
        document = {"schema_version": SCHEMA_VERSION, "model_id": model_id, "evidence": dict(evidence)}
        write_json(self.folder / model_id / REPRODUCTION, document)


@contextmanager
def measured(children: Nursery) -> Iterator[dict[str, float | None]]:
    """What the block costs, filled in at its end: `seconds`, and `cpu_seconds` of this process and of those that it has started
    and that have ended."""

    def spent() -> float:
        return sum(os.times()[:4]) + children.used.cpu_seconds

    cost: dict[str, float | None] = {}
    began, before = time.monotonic(), spent()
    yield cost
    cost |= {"seconds": round(time.monotonic() - began, 3), "cpu_seconds": round(spent() - before, 3)}


def _folders(folder: Path) -> list[Path]:
    """What was published in `folder`; none where there is no such folder."""
    return [path for path in folder.glob("[!.]*") if path.is_dir()]


def _link(source: Path, target: Path) -> None:
    """The same files under another name, the folder appearing at once. Nothing here writes into a file that is published."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(target)
    shutil.copytree(source, temporary, copy_function=_same_file)
    publish_folder(temporary, target)


def _same_file(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)
