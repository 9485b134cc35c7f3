"""Backup and restore: everything that a rebuild needs in one folder, verified on both ends, never half taken for whole.

    DIR/backup.json   written last: the references as they were, so an interrupted backup is still the one before
    DIR/mtac.git/     bare repository: refs/mtac, branches and tags; `git clone` of it is the project
    DIR/objects/      the objects that models and data point at, in the DVC remote's own layout

Belongs here: what goes in, and what is refused. Copying objects is `bring`'s, following references `share`'s matter. Databases of
Dagster and MLflow are left out: both are views of what is in here. So are secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance import share
from mtac_assets.provenance.bring import ShareError, bring, local_files
from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.files import write_json
from mtac_assets.provenance.git import DATA, Repository
from mtac_assets.provenance.lease import Lease, acquire
from mtac_assets.provenance.pointers import Placed, pointers_of
from mtac_assets.provenance.share import ROOT, Shared
from mtac_assets.provenance.store import Store
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding, MtacError, raise_all

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

SCHEMA_VERSION = 1
DOCUMENT = "backup.json"
MARK = ".mtac-backup"  # of which project this folder is to become the backup; there before anything else is
LEASE = ".lease.json"
GIT, OBJECTS = "mtac.git", "objects"
CODE = ("refs/heads/", "refs/tags/")


class BackupError(MtacError):
    """The folder is no backup of this project, or not a whole one."""


@dataclass(frozen=True)
class Backup:
    """What a backup did. `models`: how many it holds now; `references`: those that are new in it since the one before."""

    folder: Path
    models: int
    references: tuple[str, ...]
    objects: int
    bytes: int

    def document(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "folder": str(self.folder),
            "models": self.models,
            "references": list(self.references),
            "objects": self.objects,
            "bytes": self.bytes,
        }


def backup(project: Project, folder: Path) -> Backup:
    """Bring the backup in `folder` up to date, or begin one. Only what is new since the last one is copied.

    Raises BackupError where the folder holds something else, ShareError where an object is nowhere to be found or a ledger or
    data history has gone another way than its backup: what was backed up before stays as it was then.
    """
    folder = folder.absolute()
    _require_ours(project, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            lease = acquire(folder / LEASE)
            stack.callback(lease.release)
            stack.enter_context(lease.kept())
            return _bring_up_to_date(project, folder, lease)
    except OSError as error:
        raise BackupError(
            Finding(
                f"the backup cannot be written: {error.strerror or error}",
                str(folder),
                "a folder that this user may write to, with room for all objects",
                "make room or name another folder, and call it again: it goes on where it was",
            )
        ) from error


def _bring_up_to_date(project: Project, folder: Path, lease: Lease) -> Backup:
    if not (folder / MARK).exists():
        write_json(folder / MARK, {"schema_version": SCHEMA_VERSION, "package": project.package})
    repository, mirror = Repository.at(project.root), _mirror(folder)
    before = _references_in(folder) if (folder / DOCUMENT).is_file() else {}
    now = _all_references(repository)
    new = {name: commit for name, commit in now.items() if before.get(name) != commit}
    wanted = _pointers(repository, new, before)
    objects, size = bring(wanted, Store.of(project), Store(str(folder / OBJECTS)), local_files(project))
    _push(repository, mirror, new)
    if branch := _checked_out_by_a_clone(repository, now):
        mirror.run("symbolic-ref", "HEAD", branch)
    document = {
        "schema_version": SCHEMA_VERSION,
        "package": project.package,
        "environment": project.environment.name,
        "made_at": clock.timestamp(),
        "references": now,
    }
    with lease.fence():
        write_json(folder / DOCUMENT, document)
    models = sum(name.startswith(f"{ROOT}models/") for name in now)
    return Backup(folder, models, tuple(sorted(name.removeprefix("refs/") for name in new)), objects, size)


def verify_backup(folder: Path) -> list[Finding]:
    """Everything that is wrong with a backup, all of it read again. Raises BackupError where there is none."""
    folder = folder.absolute()
    named = _references_in(folder)
    mirror = Repository.at(folder / GIT)
    checked = mirror.attempt("fsck", "--full", "--no-dangling", "--no-progress")
    findings = [
        Finding(f"git fsck: {line}", str(mirror.git_dir), "a sound repository", "make another backup into a new folder")
        for line in checked.stderr.decode(errors="replace").splitlines()
    ]
    missing = _missing(mirror, named)
    if missing:
        return [*findings, *missing]
    store = Store(str(folder / OBJECTS))
    seen: dict[str, Placed] = {}
    for places in _pointers(mirror, named, {}).values():
        seen |= {placed.pointer.md5: placed for placed in places}
    for placed in sorted(seen.values(), key=lambda each: each.path):
        problem = store.problem(placed.pointer)
        if problem is not None:
            findings += [
                Finding(
                    f"{placed.path}: {one.error}",
                    one.where,
                    one.expected,
                    "remove the object; the next `mtac backup` after `backup.json` is removed too brings it again",
                )
                for one in problem.findings
            ]
    return findings


def restore(project: Project, folder: Path) -> Shared:
    """Let this project follow the backup in `folder`: references and, before them, every object, digested as it comes.

    What is here and further on stays; what has gone another way is refused before anything is moved (ShareError). Raises
    BackupError where the folder holds no whole backup of this project.
    """
    folder = folder.absolute()
    named = _references_in(folder)
    _require_ours(project, folder)
    repository, mirror = Repository.at(project.root), Repository.at(folder / GIT)
    raise_all(BackupError, _missing(mirror, named))
    ours = {name: commit for name, commit in named.items() if name.startswith(ROOT)}
    specs = "".join(f"{commit}\n" for commit in dict.fromkeys(ours.values()))
    if ours:
        repository.run(
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--stdin",
            str(mirror.git_dir),
            data=specs.encode(),
        )
    theirs = {name.removeprefix(ROOT): commit for name, commit in ours.items()}
    return share.take(project, repository, theirs, Store(str(folder / OBJECTS)), str(folder))


def _require_ours(project: Project, folder: Path) -> None:
    state = project.state.root.absolute()
    if folder == project.root or folder.is_relative_to(state) or state.is_relative_to(folder):
        raise BackupError(
            Finding(
                "the backup would lie in what it is to save",
                str(folder),
                f"a folder outside {state}",
                "name another folder, best on another machine or volume",
            )
        )
    if not folder.exists() or not any(folder.iterdir()):
        return
    mark = read_object(folder / MARK)
    if mark is None or mark.get("package") != project.package:
        what = "something else" if mark is None else f"the backup of {mark.get('package')}"
        raise BackupError(
            Finding(
                f"the folder holds {what}",
                str(folder),
                f"nothing, or a backup of {project.package}",
                "name another folder",
            )
        )


def _mirror(folder: Path) -> Repository:
    mirror = Repository.bare(folder / GIT)
    mirror.run("config", "gc.auto", "0")  # commits that no reference names any more still belong to a backup
    mirror.run("config", "uploadpack.allowAnySHA1InWant", "true")
    return mirror


def _checked_out_by_a_clone(repository: Repository, references: Mapping[str, str]) -> str | None:
    """The branch that a clone of the backup stands on: the one that is checked out here. An image's code and a CI system's checkout
    are on none: then the repository's own, else one that holds this code."""
    shared = repository.text("rev-parse", "--path-format=absolute", "--git-common-dir")
    own = repository.attempt("symbolic-ref", "--quiet", "HEAD").stdout
    repositorys = repository.attempt(f"--git-dir={shared}", "symbolic-ref", "--quiet", "HEAD").stdout
    holding = repository.attempt("for-each-ref", "--contains=HEAD", "--format=%(refname)", "refs/heads/").stdout
    return next((name for name in (own + repositorys + holding).decode().split() if name in references), None)


def _all_references(repository: Repository) -> dict[str, str]:
    """Full name to commit: what is ours, and the branches and tags that code and gates are read from."""
    lines = repository.text("for-each-ref", "--format=%(objectname) %(refname)", *CODE)
    code = {name: commit for commit, _, name in (line.partition(" ") for line in lines.splitlines())}
    return code | {ROOT + name: commit for name, commit in share.references(repository).items()}


def _references_in(folder: Path) -> dict[str, str]:
    found = read_object(folder / DOCUMENT)
    if found is None or found.get("schema_version") != SCHEMA_VERSION:
        raise BackupError(
            Finding(
                "there is no whole backup here",
                str(folder / DOCUMENT),
                f"a {DOCUMENT} of version {SCHEMA_VERSION}, which is written last",
                "name the folder that `mtac backup` was given; one that was cut off goes on where it is called again",
            )
        )
    return found["references"]


def _pointers(repository: Repository, new: Mapping[str, str], before: Mapping[str, str]) -> dict[str, list[Placed]]:
    """Of the models and of every commit of the data's histories that is not in `before`."""
    revisions = [commit for name, commit in new.items() if name.startswith(f"{ROOT}models/")]
    data = [commit for name, commit in new.items() if name.startswith(DATA)]
    if data:
        known = [f"^{commit}" for name, commit in before.items() if name.startswith(DATA)]
        revisions += repository.text("rev-list", *data, *known).split()
    return pointers_of(repository, revisions)


def _push(repository: Repository, mirror: Repository, new: Mapping[str, str]) -> None:
    """The commits with all that they need; histories go forward only, models and code are what they are now."""
    if not new:
        return
    free = (f"{ROOT}models/", *CODE)
    specs = [f"{'+' if name.startswith(free) else ''}{commit}:{name}" for name, commit in new.items()]
    for batch in _batches(specs):
        done = repository.attempt("push", "--quiet", "--atomic", "--no-verify", str(mirror.git_dir), *batch)
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise ShareError(
                Finding(
                    f"the backup refused the references: {said}",
                    str(mirror.git_dir),
                    "ledgers and data histories that go on from those that were backed up",
                    "`mtac verify --ledger` names where a ledger was rewritten; the backup still holds it as it was",
                )
            )


def _missing(mirror: Repository, named: Mapping[str, str]) -> list[Finding]:
    """References of the document whose commits the repository beside it lacks."""
    asked = "".join(f"{commit}\n" for commit in named.values()).encode()
    answers = mirror.text("cat-file", "--batch-check=%(objectname)", data=asked).splitlines() if named else []
    return [
        Finding(
            f"the backup lacks the commit of {name}",
            str(mirror.git_dir),
            commit,
            "restore from another backup, or fetch from a remote",
        )
        for (name, commit), answer in zip(named.items(), answers, strict=True)
        if answer.endswith("missing")
    ]


def _batches(specs: list[str], size: int = 500) -> Iterable[list[str]]:
    """So many at a time as fit on a command line."""
    return (specs[start : start + size] for start in range(0, len(specs), size))
