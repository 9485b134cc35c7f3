"""Verification of a ledger: was an entry edited, dropped, cut off or replaced, and which one first?

Belongs here: the chain against itself (commit ids, sequence, digest of the entry before), and against what was seen of it
elsewhere: heads anchored in models' commits, this repository's own record of where the reference was, the remote's copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mtac_assets.provenance import refs
from mtac_assets.provenance.document import parse_object
from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.ledger import ENTRY_FILE, LEDGER, Entry, entry_of
from mtac_assets.spec.errors import Finding

REMOTE_COPIES = "refs/mtac/remotes/"  # <remote>/ledger/<environment>: what was last seen there


@dataclass(frozen=True, slots=True)
class _Link:
    """One commit of the chain as it lies in the repository. `entry` None: it holds none, for the reason in `problem`."""

    commit: str
    entry: Entry | None
    problem: str | None


def check(repository: Repository, environment: str) -> list[Finding]:
    """Every problem of the ledger, the earliest entry first. Entries that are appended meanwhile accuse nobody."""
    # Git writes a reference's record a moment before the reference itself: what is still wrong when looked at again is wrong.
    return _findings(repository, environment) and _findings(repository, environment)


def _findings(repository: Repository, environment: str) -> list[Finding]:
    name = LEDGER + environment
    # The witnesses first, the chain after them: so all that they saw is in it, whoever appends meanwhile.
    anchors, others = list(_anchors(repository, environment)), list(_other_heads(repository, environment))
    head = repository.resolve(name)
    chain = _chain(repository, head) if head is not None else []
    problems: list[tuple[int, str]] = [*_within(chain), *_against_anchors(anchors, chain)]
    known = {link.commit for link in chain}  # what led to such a commit is a beginning of the chain, and was read
    for place, other in others:
        if other not in known:
            problems.extend(_against(chain, _chain(repository, other), place))
    found: dict[int, str] = {}
    for sequence, problem in problems:
        found.setdefault(sequence, problem)
    return [
        Finding(
            problem,
            f"{name}, entry {sequence}",
            "an unbroken chain of entries",
            "promotions stay frozen until the reference is put back: `mtac fetch`, or `git reflog show` of the reference",
        )
        for sequence, problem in sorted(found.items())
    ]


def _chain(repository: Repository, head: str) -> list[_Link]:
    """The commits from the first to `head`, each read whole and held against its own id."""
    done = repository.attempt("rev-list", "--reverse", "--topo-order", head)
    commits = done.stdout.decode().split()
    if done.returncode != 0:
        return [_Link(head, None, f"cannot be followed: {done.stderr.decode(errors='replace').strip()}")]
    content = repository.read([*commits, *(f"{commit}:{ENTRY_FILE}" for commit in commits)])
    return [_link(repository, commit, content[commit], content[f"{commit}:{ENTRY_FILE}"]) for commit in commits]


def _link(repository: Repository, commit: str, raw: bytes | None, stored: bytes | None) -> _Link:
    if raw is None or repository.object_id("commit", raw) != commit:
        return _Link(commit, None, "its commit is damaged: the content does not give its id")
    head, _, message = raw.partition(b"\n\n")
    if sum(line.startswith(b"parent ") for line in head.splitlines()) > 1:
        return _Link(commit, None, "two chains were merged here: a ledger has one")
    told = parse_object(message.partition(b"\n\n")[2])
    kept = parse_object(stored) if stored is not None else None
    if kept is None:
        return _Link(commit, None, f"its commit holds no {ENTRY_FILE}")
    entry = entry_of(kept, commit)
    return _Link(commit, entry, None if told == kept else "was edited: its message and its file differ")


def _within(chain: Sequence[_Link]) -> Iterator[tuple[int, str]]:
    before: Entry | None = None
    for position, link in enumerate(chain, 1):
        if link.problem is not None:
            yield position, link.problem
        entry = link.entry
        if entry is None:
            return
        expected = before.sequence + 1 if before is not None else 1
        if entry.sequence != expected:
            yield expected, f"was dropped: entry {entry.sequence} follows {before.sequence if before else 'nothing'}"
        elif entry.previous != (before.digest if before is not None else ""):
            # An entry vouches for the one before it, so the one before is no longer what it was.
            yield max(expected - 1, 1), "was edited: the entry after it names another digest"
        before = entry


def _anchors(repository: Repository, environment: str) -> Iterator[tuple[str, int, str]]:
    """What models' commits say of the head of this ledger when they were recorded: model, number of entries, its digest."""
    for model in refs.summaries(repository):
        anchored = model.ledger.get(environment)
        if anchored is not None:
            yield model.model_id, int(anchored["sequence"]), anchored["digest"]


def _against_anchors(anchors: Sequence[tuple[str, int, str]], chain: Sequence[_Link]) -> Iterator[tuple[int, str]]:
    digests = {link.entry.sequence: link.entry.digest for link in chain if link.entry is not None}
    for model_id, sequence, digest in anchors:
        if sequence not in digests:
            yield len(chain) + 1, f"was cut off: {model_id} was recorded when there were {sequence} entries"
        elif digests[sequence] != digest:
            yield sequence, f"was edited or replaced: {model_id} was recorded when it had another digest"


def _other_heads(repository: Repository, environment: str) -> Iterator[tuple[str, str]]:
    """Commits that were or are the head of this ledger, here and elsewhere, with a name for the place."""
    name = LEDGER + environment
    done = repository.attempt("reflog", "show", "--format=%H", name, "--")
    for commit in dict.fromkeys(done.stdout.decode().split()):
        yield "this repository's own record of the reference", commit
    copies = repository.text("for-each-ref", "--format=%(objectname) %(refname)", REMOTE_COPIES)
    for line in copies.splitlines():
        commit, _, reference = line.partition(" ")
        remote, _, ledger = reference.removeprefix(REMOTE_COPIES).partition("/ledger/")
        if ledger == environment:
            yield f"the copy at {remote}", commit


def _against(chain: Sequence[_Link], seen: Sequence[_Link], place: str) -> Iterator[tuple[int, str]]:
    """Where `seen`, which was a head of the same ledger once, is no beginning of `chain`."""
    pairs = list(enumerate(zip(chain, seen, strict=False), 1))
    for position, (ours, theirs) in pairs:
        if ours.entry is not None and theirs.entry is not None and ours.entry.digest != theirs.entry.digest:
            yield position, f"was edited or replaced: {place} holds another entry in its place"
            return
    if len(seen) > len(chain):
        yield len(chain) + 1, f"was cut off: {place} holds {len(seen)} entries"
        return
    rewritten = next((position for position, (ours, theirs) in pairs if ours.commit != theirs.commit), None)
    if rewritten is not None:
        yield rewritten, f"was written anew: {place} holds the same entry in another commit"
