"""The ledger: the append-only record of every decision, a chain of commits on refs/mtac/ledger/<environment>.

Belongs here: appending by compare-and-swap, reading, and finding out whether somebody edited, dropped, cut or forked entries.
Each entry names the digest of the one before it, so the chain holds even where commits are rewritten with it; heads are
anchored in every model's commit and in the state, so that a chain that was rewritten whole is noticed too.
What a decision needs is `promotion`'s matter.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from mtac_assets.provenance.digest import digest_json
from mtac_assets.provenance.document import parse_object
from mtac_assets.provenance.files import json_bytes
from mtac_assets.provenance.git import LEDGER, GitError, HasRoot, RefMoved, Repository, repository_of
from mtac_assets.provenance.turns import turn
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project

SCHEMA_VERSION = 1
CHAMPION_KINDS = ("promote", "rollback")
ENTRY_FILE = "entry.json"
_GIVE_UP_SECONDS = 30.0
_TURN_SECONDS = 10.0
_LOOK_SECONDS = 0.002


class LedgerMoved(RefMoved):
    """An entry was appended since the caller last read the ledger; what it decided must be judged again."""


@dataclass(frozen=True)
class Entry:
    """One decision. `previous` is the digest of the entry before, empty for the first; order is by `sequence`, from 1."""

    sequence: int
    at: str
    actor: str
    kind: str
    recipe: str | None
    model_id: str | None
    reason: str
    evidence: Mapping[str, Any]
    previous: str
    schema_version: int = SCHEMA_VERSION
    commit: str = ""

    def document(self) -> dict[str, Any]:
        """What is stored, and what the digest is over. Its `evidence` is the entry's own: not to be changed."""
        return {name: getattr(self, name) for name in _STORED}

    @cached_property
    def digest(self) -> str:
        return digest_json(self.document())


_STORED = tuple(name for name in Entry.__dataclass_fields__ if name != "commit")


def append(
    where: HasRoot,
    environment: str,
    *,
    kind: str,
    recipe: str | None,
    model_id: str | None,
    actor: str,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    expect: str | None = None,
) -> Entry:
    """Append one entry, by compare-and-swap on the reference; concurrent writers are put in order and none is lost.

    `expect`: the commit that the caller's decision was made on (`head`; empty for an empty ledger): if the ledger has moved on,
    LedgerMoved is raised and nothing written. Signed where Git is configured to sign; where the
    environment requires it and Git is not, GitError is raised and nothing written.
    """
    repository = repository_of(where)
    if isinstance(where, Project) and where.environment.promotion.signing.required and not repository.signs:
        remedy = "see docs/security.md, Signatures; nothing was written"
        raise GitError(Finding("Git is not set up to sign entries", str(repository.git_dir), "commit.gpgsign", remedy))
    fields = {"actor": actor, "kind": kind, "recipe": recipe, "model_id": model_id, "reason": reason}
    with _turn(repository, environment):
        return _append(repository, environment, fields, dict(evidence or {}), expect)


def _append(
    repository: Repository, environment: str, fields: Mapping[str, Any], evidence: dict[str, Any], expect: str | None
) -> Entry:
    name = LEDGER + environment
    started = time.monotonic()
    while True:
        before = repository.resolve(name)
        if expect is not None and expect != (before or ""):
            raise LedgerMoved(
                Finding(
                    f"the ledger of {environment} moved on",
                    name,
                    f"its head at {expect or 'no entry'}",
                    "read it and decide again",
                )
            )
        last = read_entry(repository, before) if before is not None else None
        entry = Entry(
            sequence=last.sequence + 1 if last else 1,
            at=clock.timestamp(),
            **fields,
            evidence=evidence,
            previous=last.digest if last else "",
        )
        commit = _write(repository, entry, before)
        try:
            repository.move(name, commit, before)
        except RefMoved:
            if time.monotonic() - started > _GIVE_UP_SECONDS:
                raise
            time.sleep(random.uniform(0.002, 0.03))  # another writer was first; its entry comes before this one
            continue
        return Entry(**entry.document(), commit=commit)


@contextmanager
def _turn(repository: Repository, environment: str) -> Generator[None]:
    """One writer of this machine after the other, so that none works on an entry that another overtakes. A courtesy alone: whether
    an entry is appended is the reference's to say, so where a turn does not come (its holder was halted), one goes on."""
    common = repository.git_dir / "commondir"  # a worktree names the repository that it shares references with
    folder = repository.git_dir / common.read_text().strip() if common.is_file() else repository.git_dir
    with turn(folder / f"mtac-ledger-{environment}.lock", _TURN_SECONDS, look=_LOOK_SECONDS):
        yield


def head(where: HasRoot, environment: str) -> str:
    """The commit of the last entry; empty for an empty ledger. To be handed to `append` as `expect`."""
    return repository_of(where).resolve(LEDGER + environment) or ""


def environments(where: HasRoot) -> list[str]:
    """The environments that have a ledger."""
    return repository_of(where).text("for-each-ref", "--format=%(refname:lstrip=3)", LEDGER).split()


def entries(where: HasRoot, environment: str) -> list[Entry]:
    """All entries, first to last; empty where there is no ledger. Raises GitError where one cannot be read."""
    return _entries(repository_of(where), LEDGER + environment)


def history(where: HasRoot, environment: str, recipe: str) -> list[Entry]:
    """Entries about one recipe, first to last."""
    return [entry for entry in entries(where, environment) if entry.recipe == recipe]


def champion_at(where: HasRoot, environment: str, recipe: str, moment: datetime | None = None) -> Entry | None:
    """The entry that made the champion of `recipe` at `moment` (now, if None); None where there was none.

    Order is by sequence; an entry takes effect no earlier than those before it, so a clock that jumped back reorders nothing.
    """
    return champion(history(where, environment, recipe), recipe, moment)


def champion(found: Iterable[Entry], recipe: str, moment: datetime | None = None) -> Entry | None:
    """As `champion_at`, among entries that were read already."""
    effective = datetime.min.replace(tzinfo=UTC)
    current: Entry | None = None
    for entry in found:
        effective = max(effective, datetime.fromisoformat(entry.at))
        if moment is not None and effective > moment:
            break
        if entry.recipe == recipe and entry.kind in CHAMPION_KINDS:
            current = entry
    return current


def statuses(found: Iterable[Entry]) -> dict[str, str]:
    """Model ID to status, for the models that the ledger speaks of: the last champion of a recipe is its champion, those
    before it are archived, a `challenger` is one until it is promoted or archived."""
    status: dict[str, str] = {}
    champions: dict[str, str] = {}
    for entry in found:
        if entry.model_id is None or entry.recipe is None:
            continue
        if entry.kind in CHAMPION_KINDS:
            former = champions.get(entry.recipe)
            if former is not None:
                status[former] = "archived"
            champions[entry.recipe] = entry.model_id
            status[entry.model_id] = "champion"
        elif entry.kind in {"challenger", "archive"} and status.get(entry.model_id) != "champion":
            status[entry.model_id] = "challenger" if entry.kind == "challenger" else "archived"
    return status


def verify(where: HasRoot, environment: str) -> list[Finding]:
    """What is wrong with the ledger of `environment`, the first bad entry first; empty where nothing is."""
    from mtac_assets.provenance.ledger_check import check

    return check(repository_of(where), environment)


def read_entry(repository: Repository, commit: str) -> Entry:
    """The entry of one commit. Raises GitError where it holds none."""
    found = repository.read([f"{commit}:{ENTRY_FILE}"])[f"{commit}:{ENTRY_FILE}"]
    document = parse_object(found) if found is not None else None
    if document is None:
        raise GitError(
            Finding(
                "a commit of the ledger holds no entry",
                commit,
                f"{ENTRY_FILE} in its tree",
                "`mtac verify --ledger` names the first bad entry",
            )
        )
    return entry_of(document, commit)


def entry_of(document: Mapping[str, Any], commit: str) -> Entry:
    return Entry(**{name: document.get(name) for name in _STORED}, commit=commit)  # pyright: ignore[reportArgumentType]


def _entries(repository: Repository, name: str) -> list[Entry]:
    """Entries by their commits' messages, first parents only: one process, no trees."""
    done = _log(repository, name)
    if done.returncode != 0:
        tip = repository.resolve(name)
        if tip is None:
            return []
        done = _log(repository, tip)  # where the chain began between the two, its tip can be read now
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise GitError(
            Finding(f"the ledger cannot be read: {said}", name, "a whole chain", "fetch it again from the remote")
        )
    found: list[Entry] = []
    for text in done.stdout.decode("utf-8", "replace").split("\0"):
        commit, _, body = text.strip().partition(" ")
        if commit:
            document = parse_object(body.strip())
            found.append(read_entry(repository, commit) if document is None else entry_of(document, commit))
    return found


def _log(repository: Repository, revision: str) -> subprocess.CompletedProcess[bytes]:
    return repository.attempt("log", "--first-parent", "--reverse", "--format=%H %b%x00", revision)


def _write(repository: Repository, entry: Entry, parent: str | None) -> str:
    blob = repository.blobs([json_bytes(entry.document())])[0]
    tree = repository.text("mktree", data=f"100644 blob {blob}\t{ENTRY_FILE}\n".encode())
    subject = f"{entry.sequence}: {entry.kind} {entry.model_id or entry.recipe or ''}".rstrip()
    line = json.dumps(entry.document(), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return repository.commit(tree, [parent] if parent else [], f"{subject}\n\n{line}\n")
