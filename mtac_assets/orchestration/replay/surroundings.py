"""Where a policy plays: a checkout of its own with a state of its own. The user's state, references and services are never touched.

The checkout is a clone that shares the repository's objects and none of `refs/mtac`. It holds the working tree as a model's
commit would, with three changes that no fingerprint knows: the policy's triggers in recipe.yaml, sources and arrival in
dataset.yaml, and an environment that points nowhere outside. They are committed there, so that its models come from a clean tree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.evaluation.page import yaml_text
from mtac_assets.provenance import closure
from mtac_assets.provenance.files import UNSYNCED_VARIABLE, write_atomic
from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.snapshot import private_index, take_snapshot
from mtac_assets.spec import overrides, yaml
from mtac_assets.spec.clock import CLOCK_VARIABLE
from mtac_assets.spec.errors import SpecError, raise_all
from mtac_assets.spec.project import DEFAULT_STATE, STATE_VARIABLE
from mtac_assets.training.launchers.guard import command_line

if TYPE_CHECKING:
    from mtac_assets.orchestration.replay.landing import Landing
    from mtac_assets.orchestration.replay.policies import Policy
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

BRANCH = "refs/heads/replay"
SETTLE_SECONDS = 5.0
AHEAD = "--ahead"  # option of `python -m mtac_assets.orchestration.replay`


@dataclass(frozen=True)
class Source:
    """The code that is played: a tree of the project's repository, and the commit that it came from (None before the first)."""

    tree: str
    head: str | None


def source_of(project: Project, resolved: ResolvedRecipe) -> Source:
    """The project as it is now: HEAD, tracked changes, and the files of the recipe and its datasets even if they are untracked."""
    repository = Repository.at(project.root)
    names = (resolved.fields["data"]["rows"], *resolved.fields["data"]["lookups"])
    folders = [resolved.folder, *(project.datasets()[name].parent for name in names)]
    beside = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    with private_index(repository) as index:
        snapshot = take_snapshot(repository, [*closure.closure_of_recipe(project, resolved).files, *beside], index)
    return Source(snapshot.tree, snapshot.head)


def make_checkout(
    project: Project, source: Source, recipe: str, policy: Policy, landings: Sequence[Landing], place: Path
) -> Path:
    """Lay the checkout out at `place`, whole or not at all; the project's root in it. One that is there is kept.

    Raises SpecError where the policy's overrides cannot be laid over the recipe; that the outcome is a recipe is checked before.
    """
    repository = Repository.at(project.root)
    root = place / repository.prefix
    if place.is_dir():
        return root
    unfinished = place.with_name(f".{place.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    repository.run("clone", "--quiet", "--shared", "--no-checkout", "--no-tags", str(repository.top), str(unfinished))
    clone = Repository.at(unfinished)
    clone.run("config", "core.fsync", "none")
    clone.run("read-tree", source.tree)
    clone.run("checkout-index", "--all", "--force")
    inside = unfinished / repository.prefix
    changed = _change(project, inside, recipe, policy, landings)
    clone.run("add", "--force", "--", *(str(path.relative_to(unfinished)) for path in changed))
    tree = clone.text("write-tree")
    commit = clone.commit(tree, [source.head] if source.head else [], f"Surroundings of a replay: {policy.name}\n")
    clone.run("symbolic-ref", "HEAD", BRANCH)
    clone.run("update-ref", BRANCH, commit)
    unfinished.rename(place)
    return root


def variables(replays: Path) -> dict[str, str]:
    """The environment of a process that plays in a checkout under `replays`: nothing that would lead it to the user's state. It
    starts thousands of others, so what they compile is kept, and what they write there waits for no disk: it can be played again."""
    dropped = {STATE_VARIABLE, CLOCK_VARIABLE, "DAGSTER_HOME", "PYTHONDONTWRITEBYTECODE"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return kept | {UNSYNCED_VARIABLE: str(replays)}


def _change(project: Project, root: Path, recipe: str, policy: Policy, landings: Sequence[Landing]) -> list[Path]:
    home = root / project.package_folder.relative_to(project.root)
    path = home / "defs" / project.recipes()[recipe].parent.name / "recipe.yaml"
    written = yaml.parse(path.read_bytes(), path.name)
    laid, findings = overrides.apply(written, policy.overrides(written.data.get("triggers") or {}))
    raise_all(SpecError, findings)
    _write(path, laid.data)
    changed = [path]
    for landing in landings:
        path = home / "defs" / landing.dataset / "dataset.yaml"
        data: dict[str, Any] = yaml.parse(path.read_bytes(), path.name).data
        arrival = {**(data.get("arrival") or {}), "active": True, "settle_seconds": SETTLE_SECONDS}
        _write(path, {**data, "source": landing.source(), "arrival": arrival})
        changed.append(path)
    path = home / "environments" / f"{project.environment.name}.yaml"
    _write(path, _environment(project.environment.model_dump(mode="json")))
    return [*changed, path]


def _environment(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same limits and rules for evidence; a state, a store and databases of its own, an MLflow that is told nothing (nobody would
    look there), no webhooks, no person to wait for. What is played was committed, so a clean tree may be asked for as it is elsewhere."""
    promotion = {**fields["promotion"], "branches": ["*"], "require_approval": False}
    return {
        **fields,
        "state": DEFAULT_STATE,
        "data": {"remote": None},
        "mlflow": {"tracking_uri": None, "deliver": False},
        "server": None,
        "webhooks": [],
        "promotion": promotion,
    }


def _write(path: Path, document: Mapping[str, Any]) -> None:
    write_atomic(path, yaml_text(document).encode())


def run_in(root: Path, arguments: Sequence[str], log: Path, replays: Path) -> subprocess.Popen[str]:
    """`python -m ARGUMENTS` by the code of a checkout under `replays`; standard output is ours to read, standard error goes to `log`.

    It runs under a guard: it and all that it has started end where standard input is closed, which our own end does too. A day that was
    begun is played again.
    """
    with log.open("ab") as stream:
        return subprocess.Popen(
            command_line([sys.executable, "-m", *arguments], at_once=True),
            cwd=root,
            env=variables(replays),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            start_new_session=True,
        )
