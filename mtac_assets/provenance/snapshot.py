"""The code tree of a model: the project as it was when it trained, as a Git tree, without touching the user's index.

Belongs here: HEAD with tracked changes and the files of the closure. Never another untracked file: it may be a secret.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtac_assets.provenance.git import GitError, Repository
from mtac_assets.spec.errors import Finding


@dataclass(frozen=True)
class Snapshot:
    """`tree`: its id. `head`: the commit it came from, None before the first. `dirty`: whether it differs from that commit."""

    tree: str
    head: str | None
    branch: str | None
    dirty: bool


@contextmanager
def private_index(repository: Repository) -> Generator[dict[str, str]]:
    """Variables that give git commands a copy of the user's index, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="mtac-index-") as folder:
        index = Path(folder) / "index"
        own = repository.git_dir / "index"
        if own.is_file():
            shutil.copyfile(own, index)  # with its file states, so that unchanged files are not read again
        yield {"GIT_INDEX_FILE": str(index)}


def take_snapshot(repository: Repository, closure_files: Iterable[Path], index: dict[str, str]) -> Snapshot:
    """Write the tree of HEAD, tracked changes and `closure_files` through `index`, and leave it there to be added to.

    Raises GitError in a bare repository.
    """
    if repository.top is None:
        raise GitError(
            Finding(
                "a bare repository has no working tree to record",
                str(repository.git_dir),
                "a clone or worktree",
                "record the model where it was trained",
            )
        )
    top = repository.top.resolve()
    variables = index | {"GIT_WORK_TREE": str(top), "GIT_DIR": str(repository.git_dir)}
    repository.run("add", "--update", "--", ":/", extra=variables)
    inside = [os.path.relpath(file.resolve(), top) for file in closure_files if file.resolve().is_relative_to(top)]
    if inside:
        # Paths of update-index count from the current folder, as they do on the command line.
        names = "".join(f"{os.path.relpath(top / name, repository.folder.resolve())}\0" for name in inside)
        repository.run(
            "update-index", "--add", "-z", "--stdin", data=names.encode("utf-8", "surrogateescape"), extra=variables
        )
    tree = repository.text("write-tree", extra=variables)
    described = repository.attempt("rev-parse", "--verify", "--quiet", "HEAD", "HEAD^{tree}").stdout.decode().split()
    head, committed = (
        described if len(described) == 2 else (repository.resolve("HEAD"), repository.resolve("HEAD^{tree}"))
    )
    branch = repository.attempt("symbolic-ref", "--quiet", "--short", "HEAD").stdout.decode().strip() or None
    return Snapshot(tree, head, branch, dirty=tree != committed)
