"""Who signed what: Git's own SSH signatures of entries and models' commits, held against the environment's list of signers.

Belongs here: whether this process can sign, and which commits nobody known has signed. Signing itself is Git's (`git.commit`, where
`commit.gpgsign` is set); what an unsigned one means is `promotion`'s matter. The list is an allowed-signers file as ssh-keygen(1)
describes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.provenance import ledger
from mtac_assets.provenance.git import COMMITTER, GitError, Repository
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding

if TYPE_CHECKING:
    from mtac_assets.spec.environment import Signing
    from mtac_assets.spec.project import Project

SAID = {
    "N": "it has no signature",
    "B": "its signature does not hold",
    "X": "its signature has expired",
    "R": "its key was revoked",
}
"""What `%G?` of git-log(1) says of a commit that is not good; U is a good signature of a key that is not listed."""


def unsigned(project: Project, commits: Sequence[str]) -> dict[str, str]:
    """Commits that nobody on the environment's list has signed, and why. Raises GitError without such a list."""
    signing, repository = project.environment.promotion.signing, Repository.at(project.root)
    if not commits:
        return {}
    settings = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={_list(project, signing)}"]
    asked = ["log", "--no-walk=unsorted", "--stdin", "--format=%H %G?"]
    lines = repository.text(*settings, *asked, data="".join(f"{commit}\n" for commit in commits).encode()).splitlines()
    found = dict(line.split() for line in lines)
    return {
        commit: SAID.get(found.get(commit, "N"), "its key is not on the list")
        for commit in commits
        if found.get(commit) != "G"
    }


def ledger_problems(project: Project) -> list[Finding]:
    """Entries of the environment's ledger that should be signed and are not; none where no signature is required."""
    signing, environment = project.environment.promotion.signing, project.environment.name
    if not signing.required:
        return []
    entries = [entry for entry in ledger.entries(project, environment) if entry.sequence >= signing.from_entry]
    why = unsigned(project, [entry.commit for entry in entries])
    return [
        Finding(
            f"is not signed by anybody on the list: {why[entry.commit]}",
            f"{ledger.LEDGER}{environment}, entry {entry.sequence}",
            f"a signature by a key in {signing.allowed_signers}",
            "find out who wrote it; where it is right, list the key, or set promotion.signing.from_entry by a reviewed commit",
        )
        for entry in entries
        if entry.commit in why
    ]


def try_to_sign(project: Project) -> Finding | None:
    """Sign a commit that nothing refers to, and hold it against the list: what is wrong, or None."""
    repository = Repository.at(project.root)
    where = str(repository.git_dir)
    expected = "gpg.format ssh, user.signingkey and commit.gpgsign in Git's settings, the key on the list"
    remedy = "see docs/security.md, Signatures"
    if not repository.signs:
        return Finding("signatures are required, and Git is not set up to sign", where, expected, remedy)
    try:
        tree = repository.text("mktree", data=b"")
        commit = repository.commit(tree, [], f"written by mtac doctor at {clock.timestamp()}\n")
    except GitError as error:
        return Finding(f"Git cannot sign: {error.findings[0].error}", where, expected, remedy)
    why = unsigned(project, [commit]).get(commit)
    return None if why is None else Finding(f"what is signed here is not accepted: {why}", where, expected, remedy)


def identity(repository: Repository) -> tuple[str, bool]:
    """`NAME <email>` that commits are made by, and whether Git knows it: else it is mtac's own."""
    done = repository.attempt("var", "GIT_COMMITTER_IDENT")
    settings = [repository.attempt("config", name).stdout.decode().strip() for name in ("user.name", "user.email")]
    named = [
        repository.environment.get(f"GIT_COMMITTER_{part}") or own
        for part, own in zip(("NAME", "EMAIL"), settings, strict=True)
    ]
    if done.returncode == 0 and all(named):
        return f"{named[0]} <{named[1]}>", True
    name, email = (own or fallback for own, fallback in zip(named, COMMITTER, strict=True))
    return f"{name} <{email}>", False


def _list(project: Project, signing: Signing) -> Path:
    path = project.root / (signing.allowed_signers or "")
    if not path.is_file():
        where = f"promotion.signing of environments/{project.environment.name}.yaml"
        raise GitError(
            Finding("the list of allowed signers is not there", where, str(path), "write it as ssh-keygen(1) says")
        )
    return path
