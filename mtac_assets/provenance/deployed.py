"""The bare repository that a deployment owns, and the image's code as a worktree of it.

Code, models and ledger of a deployment lie in one repository on a volume. An image brings its commit with all history as a bundle, and
its project folder is a worktree of that repository by a `.git` file that the build wrote; so everything else here works as in
any checkout, and an image is exchanged without touching what was recorded. Branches follow the image forward, never back.
"""

from __future__ import annotations

import os
from pathlib import Path

from mtac_assets.provenance.files import write_atomic
from mtac_assets.provenance.git import GitError, Repository
from mtac_assets.provenance.image import BUNDLE, Image
from mtac_assets.spec.errors import Finding

FETCHED = "refs/mtac-image/"
MAIN = "refs/heads/main"


def open_repository(path: Path) -> Repository:
    """The deployment's repository; made, empty, where nothing is yet. Raises GitError."""
    if not (path / "HEAD").is_file():
        path.mkdir(parents=True, exist_ok=True)
        maker = Repository(path, path, None, "sha1", _plain())
        maker.run("init", "--quiet", "--bare", "--initial-branch=main", str(path))
    return Repository.at(path)


def lay_down(project_root: Path, repository: Repository, image: Image, baked: Path) -> tuple[str, ...]:
    """Bring the image's commit into `repository` and make `project_root` a worktree of it at that commit; what was done, in words.

    Doing it again changes nothing. Raises GitError where the bundle is damaged or holds another commit, where a branch has gone
    another way than the image's, and where the project folder's `.git` leads elsewhere.
    """
    done = [f"code {image.commit[:12]}"]
    repository.run("fetch", "--quiet", "--no-tags", "--force", str(baked / BUNDLE), f"+refs/*:{FETCHED}*", "HEAD")
    if repository.resolve(f"{image.commit}^{{commit}}") is None:
        raise GitError(
            Finding(
                "the image's history does not hold its commit",
                str(baked / BUNDLE),
                image.commit,
                "build the image anew from a clone that is not shallow",
            )
        )
    done += [*_forward(repository)]
    _worktree(project_root, repository, image.commit)
    return tuple(done)


def _forward(repository: Repository) -> list[str]:
    """Move the repository's branches to the image's where those go on from them."""
    fetched = repository.text("for-each-ref", "--format=%(objectname) %(refname)", f"{FETCHED}heads/").splitlines()
    moved: list[str] = []
    for commit, _, name in (line.partition(" ") for line in fetched):
        branch = "refs/heads/" + name.removeprefix(f"{FETCHED}heads/")
        here = repository.resolve(branch)
        if here is None or _goes_on(repository, here, commit):
            if here != commit:
                repository.move(branch, commit, here)
                moved.append(f"{branch.removeprefix('refs/heads/')} at {commit[:12]}")
        elif not _goes_on(repository, commit, here):
            raise GitError(
                Finding(
                    f"{branch} has gone another way than the image's",
                    str(repository.git_dir),
                    f"a history that {here[:12]} and {commit[:12]} share",
                    "deploy an image of the branch as it is, or repair the branch by hand: nothing is forced here",
                )
            )
    return moved


def _worktree(root: Path, repository: Repository, commit: str) -> None:
    """Administrative files of a linked worktree (gitrepository-layout(5)), where the image's `.git` file says they are."""
    pointer = root / ".git"
    content = pointer.read_text(encoding="utf-8") if pointer.is_file() else ""
    named = Path(content.removeprefix("gitdir: ").strip())
    if not content.startswith("gitdir: ") or named.parent != repository.git_dir / "worktrees":
        raise GitError(
            Finding(
                "the project's folder is no worktree of the deployment's repository",
                str(pointer),
                f"gitdir: {repository.git_dir}/worktrees/<name>",
                "server.repository of the environment and REPOSITORY of deploy/Dockerfile must be the same",
            )
        )
    named.mkdir(parents=True, exist_ok=True)
    for name, line in (
        ("HEAD", commit),
        ("commondir", "../.."),
        ("gitdir", str(pointer)),
        ("locked", "an image's code"),
    ):
        path = named / name
        if not path.is_file() or path.read_text(encoding="utf-8") != f"{line}\n":
            write_atomic(path, f"{line}\n".encode())
    checkout = Repository.at(root)
    checkout.run("read-tree", commit)
    checkout.attempt("update-index", "--refresh", "-q")  # its status says which files differ: none of an image's


def _goes_on(repository: Repository, ancestor: str, descendant: str) -> bool:
    return repository.attempt("merge-base", "--is-ancestor", ancestor, descendant).returncode == 0


def _plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {"LC_ALL": "C"}
