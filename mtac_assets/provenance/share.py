"""Sharing: references and the objects that they need go to a remote together, or not at all.

Belongs here: `push` (objects first, then references) and `fetch` (references aside, objects, then the references' final names), so
that nobody ever sees a model without its weights. Nothing is forced: a ledger that has forked is refused on either side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mtac_assets.provenance.bring import ShareError, bring, local_files
from mtac_assets.provenance.git import GitError, Repository
from mtac_assets.provenance.pointers import pointers_of
from mtac_assets.provenance.store import Store
from mtac_assets.spec.errors import Finding, raise_all

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

KINDS = ("models", "data", "ledger")
ROOT = "refs/mtac/"
COPIES = "refs/mtac/remotes/"  # <remote>/<kind>/<name>: what was last seen there


@dataclass(frozen=True)
class Shared:
    """What moved: names of references without `refs/mtac/`, and the objects with their bytes."""

    references: tuple[str, ...]
    objects: int
    bytes: int


def push(project: Project, remote: str = "origin") -> Shared:
    """Send every model, data history and ledger to `remote`, after all their objects lie in the store that it reads from.

    Raises ShareError where an object is nowhere to be found, where no store is declared that others can read, or where the
    remote's ledger holds entries that are not here.
    """
    repository = Repository.at(project.root)
    there = _remote_references(repository, remote)
    ours = references(repository)
    moved = {name: commit for name, commit in ours.items() if there.get(name) != commit}
    target = _store_for(project, repository, remote)
    objects, size = bring(pointers_of(repository, moved.values()), Store.of(project), target, local_files(project))
    if moved:
        specs = [f"{commit}:{ROOT}{name}" for name, commit in moved.items()]
        done = repository.attempt("push", "--quiet", "--atomic", "--no-verify", remote, *specs)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise ShareError(
                Finding(
                    f"the remote refused the references: {said}",
                    remote,
                    "histories that go on from the remote's",
                    "`mtac fetch` first; a fork is named by `mtac verify --ledger`",
                )
            )
    _note(repository, remote, ours)
    return Shared(tuple(sorted(moved)), objects, size)


def fetch(project: Project, remote: str = "origin") -> Shared:
    """Bring every model, data history and ledger of `remote` here, with all their objects.

    With no DVC remote declared and a Git remote that is a local folder, objects come from that project's own store. References
    get their final names only once every object is here and whole. Raises ShareError otherwise, or where histories forked.
    """
    repository = Repository.at(project.root)
    specs = [f"+{ROOT}{kind}/*:{COPIES}{remote}/{kind}/*" for kind in KINDS]
    done = repository.attempt("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--prune", remote, *specs)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise ShareError(
            Finding(
                f"the references could not be fetched: {said}", remote, "a Git remote", "`git remote -v` lists them"
            )
        )
    theirs = _references(repository, f"{COPIES}{remote}/")
    return take(project, repository, theirs, _store_for(project, repository, remote), remote)


def take(project: Project, repository: Repository, theirs: Mapping[str, str], source: Store, whose: str) -> Shared:
    """Let our references follow `theirs` (`<kind>/<name>` to a commit that is here), once every object is here and whole.

    One that is ahead of theirs stays. Raises ShareError where one has gone another way, or an object cannot be had.
    """
    ours = references(repository)
    wanted = {name: commit for name, commit in theirs.items() if ours.get(name) != commit}
    ahead = {name for name in wanted if name in ours and _contains(repository, ours[name], wanted[name])}
    wanted = {name: commit for name, commit in wanted.items() if name not in ahead}
    raise_all(
        ShareError,
        (
            Finding(
                f"{name} has gone different ways here and at {whose}",
                f"{ROOT}{name}",
                "one history",
                "promotions stay frozen; `mtac verify --ledger` names where they part",
            )
            for name, commit in wanted.items()
            if name in ours and not _contains(repository, commit, ours[name])
        ),
    )
    objects, size = bring(pointers_of(repository, wanted.values()), source, Store.of(project), {})
    for name, commit in wanted.items():
        repository.move(ROOT + name, commit, ours.get(name))
    return Shared(tuple(sorted(wanted)), objects, size)


def references(repository: Repository) -> dict[str, str]:
    """`<kind>/<name>` to commit, of all models, data histories and ledgers here."""
    return _references(repository, ROOT)


def _references(repository: Repository, base: str) -> dict[str, str]:
    """`<kind>/<name>` to commit, below `base`."""
    lines = repository.text("for-each-ref", "--format=%(objectname) %(refname)", *(f"{base}{kind}/" for kind in KINDS))
    pairs = (line.partition(" ") for line in lines.splitlines())
    return {name.removeprefix(base): commit for commit, _, name in pairs}


def _remote_references(repository: Repository, remote: str) -> dict[str, str]:
    done = repository.attempt("ls-remote", "--refs", remote, *(f"{ROOT}{kind}/*" for kind in KINDS))
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise ShareError(
            Finding(f"the remote cannot be read: {said}", remote, "a Git remote", "`git remote -v` lists them")
        )
    pairs = (line.partition("\t") for line in done.stdout.decode().splitlines())
    return {name.removeprefix(ROOT): commit for commit, _, name in pairs}


def _contains(repository: Repository, descendant: str, ancestor: str) -> bool:
    return repository.attempt("merge-base", "--is-ancestor", ancestor, descendant).returncode == 0


def _note(repository: Repository, remote: str, ours: Mapping[str, str]) -> None:
    """Remember what the remote holds now, so that a later rewriting of a ledger is noticed."""
    for name, commit in ours.items():
        if name.startswith("ledger/"):
            repository.run("update-ref", f"{COPIES}{remote}/{name}", commit)


def _store_for(project: Project, repository: Repository, remote: str) -> Store:
    """The store that both sides read: the declared DVC remote, or the own store of the project behind a local Git remote."""
    if project.environment.data.remote is not None:
        return Store.of(project)
    url = repository.attempt("remote", "get-url", remote).stdout.decode().strip() or remote
    path = Path(urlsplit(url).path) if url.startswith("file://") else (project.root / url if "://" not in url else None)
    if path is not None and path.is_dir():
        try:
            other = Repository.at(path)
        except GitError:
            other = None
        if other is not None and other.top is not None:
            inside = other.top / repository.prefix
            return Store(str(inside / project.environment.state / "remote"))
    raise ShareError(
        Finding(
            f"no DVC remote is declared, and {remote} is no local folder with a project",
            f"environments/{project.environment.name}.yaml (data.remote)",
            "a store that both sides can read",
            "declare data.remote, for example s3://bucket/path or a shared folder",
        )
    )
