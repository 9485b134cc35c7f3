"""Git by plumbing: objects, references and trees, through the user's own `git`, never touching index, working tree or branches.

Belongs here: one process per call (about 3 ms each), so callers batch. Works in a worktree, with a detached HEAD, in a shallow
clone and in a bare mirror. What is stored under which name is `refs`' and `ledger`'s matter.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding, MtacError

COMMITTER = ("mtac", "mtac@localhost")
MODELS = "refs/mtac/models/"
DATA = "refs/mtac/data/"
LEDGER = "refs/mtac/ledger/"
_BATCH_BYTES = 1 << 20
# Variables that point Git at another repository, index or object store (git rev-parse --local-env-vars); a hook that calls
# mtac has them set, and they must not decide where a model is recorded.
_LOCAL_VARIABLES = frozenset(
    f"GIT_{name}"
    for name in (
        "ALTERNATE_OBJECT_DIRECTORIES",
        "COMMON_DIR",
        "CONFIG",
        "CONFIG_COUNT",
        "CONFIG_PARAMETERS",
        "DIR",
        "GRAFT_FILE",
        "IMPLICIT_WORK_TREE",
        "INDEX_FILE",
        "INTERNAL_SUPER_PREFIX",
        "NAMESPACE",
        "NO_REPLACE_OBJECTS",
        "OBJECT_DIRECTORY",
        "PREFIX",
        "QUARANTINE_PATH",
        "REPLACE_REF_BASE",
        "SHALLOW_FILE",
        "WORK_TREE",
    )
)


class GitError(MtacError):
    """Git is missing, there is no repository, or a Git command failed."""


class RefMoved(GitError):
    """A reference is no longer where the caller last saw it."""


class HasRoot(Protocol):
    """Anything with a folder: a Project, or a Repository."""

    @property
    def root(self) -> Path: ...


@dataclass(frozen=True)
class Repository:
    """A repository: `folder` is where commands run; `top` its working tree, None for a bare one."""

    folder: Path
    git_dir: Path
    top: Path | None
    object_format: str
    environment: Mapping[str, str] = field(repr=False)

    @property
    def root(self) -> Path:
        return self.folder

    @classmethod
    def at(cls, folder: Path) -> Repository:
        """The repository that `folder` belongs to. Raises GitError, saying what is missing."""
        if shutil.which("git") is None:
            raise GitError(
                Finding(
                    "git is not installed",
                    str(folder),
                    "git 2.30 or later on the PATH",
                    "install git; without it no model is recorded",
                )
            )
        variables = _variables()
        lines = _known(folder)
        if lines is None:
            lines = _asked(folder, variables)
            _keep(folder, lines)
        bare = lines[1] == "true"
        return cls(folder, Path(lines[0]), None if bare else Path(lines[3]), lines[2], variables)

    @classmethod
    def bare(cls, folder: Path) -> Repository:
        """A new bare repository in `folder`, or the one that is there."""
        subprocess.run(
            ["git", "init", "--quiet", "--bare", str(folder)], env=_variables(), capture_output=True, check=True
        )
        return cls.at(folder)

    def run(self, *arguments: str, data: bytes | None = None, extra: Mapping[str, str] | None = None) -> bytes:
        """Standard output of one git command. Raises GitError with what Git said."""
        done = self.attempt(*arguments, data=data, extra=extra)
        if done.returncode != 0:
            raise self._failed(arguments[0], done.returncode, done.stderr)
        return done.stdout

    def records(self, *arguments: str) -> Iterator[list[bytes]]:
        """What one git command writes, cut at NUL, in batches as they come: the caller reads while Git is still writing.

        Raises GitError with what Git said, at the end. A caller that stops early ends the command.
        """
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(
                ["git", *arguments],
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
            ) as process,
        ):
            assert process.stdout is not None
            rest = b""
            try:
                while chunk := process.stdout.read(_BATCH_BYTES):
                    *complete, rest = (rest + chunk).split(b"\0")
                    yield complete
            except GeneratorExit:
                process.kill()
                raise
            if status := process.wait():
                said.seek(0)
                raise self._failed(arguments[0], status, said.read())
            if rest.strip():
                yield [rest]

    def _failed(self, verb: str, status: int, said: bytes) -> GitError:
        return GitError(
            Finding(
                f"git {verb} failed: {said.decode(errors='replace').strip() or f'exit status {status}'}",
                str(self.folder),
                "a working repository",
                "see Git's message; `git fsck` checks the repository",
            )
        )

    def attempt(
        self, *arguments: str, data: bytes | None = None, extra: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """One git command, whatever its exit status."""
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**self.environment, **(extra or {})},
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            check=False,
        )

    def text(self, *arguments: str, data: bytes | None = None, extra: Mapping[str, str] | None = None) -> str:
        return self.run(*arguments, data=data, extra=extra).decode("utf-8", "surrogateescape").strip()

    @cached_property
    def prefix(self) -> str:
        """`folder` relative to the top of the working tree, with a final slash, or nothing."""
        if self.top is None:
            return ""
        relative = self.folder.resolve().relative_to(self.top.resolve()).as_posix()
        return "" if relative == "." else f"{relative}/"

    @cached_property
    def _settings(self) -> dict[str, str]:
        done = self.attempt("config", "--null", "--get-regexp", r"^(user\.name|user\.email|commit\.gpgsign)$")
        pairs = (entry.partition("\n") for entry in done.stdout.decode(errors="replace").split("\0") if entry)
        return {name.lower(): value for name, _, value in pairs}

    @property
    def signs(self) -> bool:
        """Whether Git is configured to sign commits."""
        return self._settings.get("commit.gpgsign", "").lower() in {"true", "yes", "on", "1"}

    def resolve(self, name: str) -> str | None:
        """The object that `name` (a reference or revision) stands for; None where there is none."""
        done = self.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", name)
        return done.stdout.decode().strip() if done.returncode == 0 else None

    def commit(self, tree: str, parents: Sequence[str], message: str) -> str:
        """Write a commit object at the clock's time, signed where Git is configured to; moves no reference."""
        stamp = f"{int(clock.now().timestamp())} +0000"
        extra = {"GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp}
        for role in ("AUTHOR", "COMMITTER"):
            for part, setting, fallback in (("NAME", "user.name", COMMITTER[0]), ("EMAIL", "user.email", COMMITTER[1])):
                if f"GIT_{role}_{part}" not in self.environment and setting not in self._settings:
                    extra[f"GIT_{role}_{part}"] = fallback
        arguments = ["commit-tree", tree, *(["-S"] if self.signs else [])]
        for parent in parents:
            arguments += ["-p", parent]
        return self.text(*arguments, data=message.encode(), extra=extra)

    def move(self, name: str, new: str, old: str | None) -> None:
        """Point the reference `name` at `new` if it still is at `old` (None: does not exist). Raises RefMoved if not."""
        done = self.attempt("update-ref", "--create-reflog", name, new, old or "")
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            raise RefMoved(
                Finding(
                    f"{name} could not be moved: {said}",
                    str(self.git_dir),
                    f"{name} at {old or 'no commit'}",
                    "run the command again",
                )
            )

    def blobs(self, contents: Sequence[bytes]) -> list[str]:
        """Write the blobs that are not there yet, all through one process; their ids, in order."""
        ids = [self.object_id("blob", content) for content in contents]
        new = dict(zip(ids, contents, strict=True))
        check = self.text("cat-file", "--batch-check=%(objectname)", data="".join(f"{name}\n" for name in new).encode())
        lacking = [name for name, line in zip(new, check.splitlines(), strict=True) if line.endswith("missing")]
        if lacking:
            stream = b"".join(b"blob\ndata %d\n%b\n" % (len(new[name]), new[name]) for name in lacking)
            self.run("fast-import", "--quiet", "--done", data=stream + b"done\n")
        return ids

    def object_id(self, kind: str, content: bytes) -> str:
        """The id that Git gives an object (`blob`, `commit`) of this content."""
        head = f"{kind} {len(content)}\0".encode()
        return hashlib.new(self.object_format, head + content, usedforsecurity=False).hexdigest()

    def read(self, names: Iterable[str]) -> dict[str, bytes | None]:
        """Contents of objects (`<revision>:<path>` or ids), through one process; None where there is none."""
        wanted = list(dict.fromkeys(names))
        if not wanted:
            return {}
        output = self.run("cat-file", "--batch", data="".join(f"{name}\n" for name in wanted).encode())
        found: dict[str, bytes | None] = {}
        position = 0
        for name in wanted:
            end = output.index(b"\n", position)
            header = output[position:end].split()
            position = end + 1
            if header[-1] in {b"missing", b"ambiguous"}:
                found[name] = None
                continue
            size = int(header[-1])
            found[name] = output[position : position + size]
            position += size + 1
        return found

    def list_tree(self, revision: str, path: str = "") -> dict[str, str]:
        """Path to blob id of every file under `path` in `revision`."""
        output = self.run("ls-tree", "-r", "-z", "--full-tree", revision, *(["--", path] if path else []))
        entries = (entry.partition("\t") for entry in output.decode("utf-8", "surrogateescape").split("\0") if entry)
        return {name: head.split()[2] for head, _, name in entries}


def repository_of(where: HasRoot) -> Repository:
    """The repository of a project, or `where` itself if it is one."""
    return where if isinstance(where, Repository) else Repository.at(where.root)


def has_reference(folder: Path, name: str) -> bool | None:
    """Whether the repository of `folder` has the reference; None where there is no Git or no repository. One process."""
    if shutil.which("git") is None:
        return None
    asked = ["git", "rev-parse", "--verify", "--quiet", name]
    done = subprocess.run(asked, cwd=folder, env=_variables(), capture_output=True, check=False)
    return None if done.returncode == 128 else done.returncode == 0


def _asked(folder: Path, variables: Mapping[str, str]) -> list[str]:
    """Git directory, whether it is bare, object format and top of the repository of `folder`. Raises GitError where there is none."""
    what = ("--git-dir", "--is-bare-repository", "--show-object-format", "--show-toplevel")
    done = subprocess.run(
        ["git", "rev-parse", "--path-format=absolute", *what],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    if len(lines) < 3 or (done.returncode != 0 and lines[1] != "true"):
        reason = (done.stderr.strip().splitlines() or ["git rev-parse failed"])[-1].removeprefix("fatal: ")
        raise GitError(
            Finding(
                f"no usable Git repository: {reason}",
                str(folder),
                "a Git repository",
                "run `git init` and commit the project's code",
            )
        )
    return lines


_answers: dict[str, tuple[tuple[int, ...], list[str]]] = {}
"""By folder: the state of its `.git`, and Git's answer. A process asks dozens of times, at 5 ms each."""


def _known(folder: Path) -> list[str] | None:
    kept = _answers.get(str(folder))
    return kept[1] if kept is not None and kept[0] == _entry(folder) else None


def _keep(folder: Path, lines: list[str]) -> None:
    """Only of a folder with a `.git` of its own: between any other one and its repository a nearer one may appear."""
    entry = _entry(folder)
    if entry is not None:
        _answers[str(folder)] = entry, lines


def _entry(folder: Path) -> tuple[int, ...] | None:
    try:
        status = (folder / ".git").stat()
    except OSError:
        return None
    # A worktree's is a file that may be written anew; a folder's time changes with every lock in it.
    return status.st_dev, status.st_ino, 0 if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns


def _variables() -> dict[str, str]:
    variables = {name: value for name, value in os.environ.items() if name not in _LOCAL_VARIABLES}
    return variables | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
