"""Clean-up: models that nothing needs any more, and the objects that only they needed.

Belongs here: saying what would go and what it would free (`find_garbage`), and letting it go (`collect`). A model that the ledger
of any environment ever named stays, and so do the newest of each recipe, with their scores and drift verdicts: what a decision
rested on can be looked at again. What was scored by a model that is no longer recorded goes. Only this machine's store is ever cleaned: a remote
that others read is theirs too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.provenance import ledger, refs
from mtac_assets.provenance.git import DATA, MODELS, Repository
from mtac_assets.provenance.pointers import pointers_of
from mtac_assets.provenance.store import LAYOUT, Pointer, Store
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


class GarbageError(MtacError):
    """Something changed between finding the garbage and collecting it."""


@dataclass(frozen=True)
class Garbage:
    """What would go. `models`: Model ID to the commit seen. `bytes`: what objects and folders free together."""

    models: dict[str, str]
    objects: tuple[Path, ...]
    folders: tuple[Path, ...]
    bytes: int
    kept: dict[str, str]  # Model ID to the reason why it stays


def find_garbage(project: Project, keep_newest: int) -> Garbage:
    """Models beyond the newest `keep_newest` of their recipe that no ledger names, with what only they need. Changes nothing."""
    repository = Repository.at(project.root)
    summaries = refs.list_models(project)
    named = _named_in_ledgers(repository)
    kept: dict[str, str] = {}
    count: dict[str, int] = {}
    for summary in summaries:
        count[summary.recipe] = count.get(summary.recipe, 0) + 1
        if summary.model_id in named:
            kept[summary.model_id] = "the ledger names it"
        elif count[summary.recipe] <= keep_newest:
            kept[summary.model_id] = f"one of the newest {keep_newest} of {summary.recipe}"
    dropped = {summary.model_id: summary.commit for summary in summaries if summary.model_id not in kept}
    objects = _unneeded_objects(project, repository, kept)
    state = project.state
    unneeded = _watched(project, lambda model_id: model_id not in kept.keys() | named)
    for model_id in dropped:
        decisions = state.reports / "decisions"
        unneeded += [state.models / model_id, state.reports / model_id]
        unneeded += [decisions / model_id, decisions / f"{model_id}-champion"]
    folders = tuple(folder for folder in unneeded if folder.is_dir())
    size = sum(path.stat().st_size for path in objects) + sum(_size(folder) for folder in folders)
    return Garbage(dropped, objects, folders, size, kept)


def collect(project: Project, garbage: Garbage) -> None:
    """Let go of what was found: references first, so that nothing points at an object that is gone.

    Raises GarbageError where a model changed since, or was named in a ledger meanwhile; nothing of it is removed then.
    """
    repository = Repository.at(project.root)
    named = _named_in_ledgers(repository)
    meanwhile = sorted(named & garbage.models.keys())
    if meanwhile:
        raise GarbageError(
            Finding(
                f"the ledger names {', '.join(meanwhile)} by now",
                MODELS,
                "garbage as it was found",
                "run `mtac gc` again",
            )
        )
    if garbage.models:
        commands = "".join(f"delete {MODELS}{model_id} {commit}\n" for model_id, commit in garbage.models.items())
        done = repository.attempt("update-ref", "--stdin", data=f"start\n{commands}prepare\ncommit\n".encode())
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise GarbageError(
                Finding(
                    f"a model changed meanwhile: {said}", MODELS, "models as they were found", "run `mtac gc` again"
                )
            )
    for path in garbage.objects:
        path.unlink(missing_ok=True)
    for folder in garbage.folders:
        shutil.rmtree(folder)


def _watched(project: Project, unneeded: Callable[[str], bool]) -> list[Path]:
    """Folders of scores and of drift verdicts, of models that `unneeded` says so of."""
    parents = (project.state.predictions, project.state.drift)
    return [folder for parent in parents for folder in sorted(parent.glob("*/*")) if unneeded(folder.name)]


def _named_in_ledgers(repository: Repository) -> set[str]:
    return {
        entry.model_id
        for name in ledger.environments(repository)
        for entry in ledger.entries(repository, name)
        if entry.model_id is not None
    }


def _unneeded_objects(project: Project, repository: Repository, kept: Iterable[str]) -> tuple[Path, ...]:
    """Objects of the local store that neither a kept model, nor the data's history, nor a partition at hand points at."""
    if project.environment.data.remote is not None:
        return ()
    store = Store.of(project)
    base = (store.folder or project.state.remote) / LAYOUT
    data = repository.text("for-each-ref", "--format=%(refname)", DATA).split()
    histories = repository.text("rev-list", *data).split() if data else []
    revisions = [*(f"{MODELS}{model_id}" for model_id in kept), *histories]
    needed = {placed.pointer.md5 for places in pointers_of(repository, revisions).values() for placed in places}
    needed |= {Pointer.parse(path.read_bytes(), str(path)).md5 for path in project.state.data.glob("*/*.parquet.dvc")}
    return tuple(
        path for path in sorted(base.glob("??/*")) if path.is_file() and path.parent.name + path.name not in needed
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
