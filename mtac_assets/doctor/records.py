"""What must outlive everything else: Git's refs, the ledger, the objects on the remote."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from mtac_assets.doctor.part import Part
from mtac_assets.provenance import ledger, ledger_check, signatures
from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.store import public_url, remote_url
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project

PROBE_BYTES = 1 << 16
SOON = timedelta(days=14)


def git(project: Project) -> Part:
    """Whether objects and refs can be written: a ref is made and taken away again. Raises GitError without a repository."""
    repository = Repository.at(project.root)
    (written,) = repository.blobs([secrets.token_bytes(16)])
    name = f"refs/mtac/doctor/{secrets.token_hex(8)}"
    repository.move(name, written, None)
    repository.run("update-ref", "-d", name, written)
    models = repository.text("for-each-ref", "--format=%(refname)", "refs/mtac/models").split()
    worries = []
    if repository.resolve("HEAD") is None:
        worries.append(
            Finding(
                "there is no commit yet",
                str(project.root),
                "a first commit: a model's commit has the code's as its parent",
                "git add -A && git commit",
            )
        )
    by, known = signatures.identity(repository)
    if not known and project.environment.server is None:
        worries.append(
            Finding(
                "Git knows no name for commits here",
                str(repository.git_dir),
                "user.name and user.email",
                "git config --global user.name NAME && git config --global user.email ADDRESS",
            )
        )
    return Part("git", f"refs can be written; {len(models)} models; commits are by {by}", (), worries)


def signing(project: Project) -> Part:
    """Whether what is written here is signed, by a key on the list. Raises GitError without the list."""
    rules = project.environment.promotion.signing
    if not rules.required:
        return Part("signing", "none is asked for")
    found = signatures.try_to_sign(project)
    problems = [*([found] if found is not None else []), *signatures.ledger_problems(project)]
    return Part("signing", f"required, by a key in {rules.allowed_signers}", problems)


def decisions(project: Project) -> Part:
    """Whether every ledger verifies: one that does not freezes promotions."""
    repository = Repository.at(project.root)
    names = ledger.environments(repository)
    problems = [finding for name in names for finding in ledger_check.check(repository, name)]
    entries = sum(len(ledger.entries(project, name)) for name in names) if not problems else 0
    return Part("ledger", f"{entries} entries in {len(names)} environments" if names else "no entry yet", problems)


def approvals(project: Project) -> Part:
    """Who may approve promotions today, and whose right ends soon or has ended."""
    rules, today = project.environment.promotion, clock.today()
    if not rules.require_approval:
        return Part("approvals", "none is asked for")
    if not rules.approvers:
        return Part("approvals", "any named person may approve")
    ended = {name: day for name, day in rules.approvals_end.items() if day < today}
    soon = {name: day for name, day in rules.approvals_end.items() if today <= day < today + SOON}
    able = [name for name in rules.approvers if name not in ended]
    findings = [
        Finding(
            f"the right of {name} to approve {'ended on' if name in ended else 'ends on'} {day}",
            f"promotion.approvals_end of environments/{project.environment.name}.yaml",
            f"a day not before {today}",
            "set a new last day, or remove the name from approvers, by a reviewed commit",
        )
        for name, day in sorted({**ended, **soon}.items())
    ]
    says = f"{', '.join(able)} may approve" if able else "nobody may approve: nothing can be promoted"
    return Part("approvals", says, () if able else findings, findings if able else ())


def remote(project: Project) -> Part:
    """Whether the DVC remote takes an object, gives the same bytes back, and lets it be removed."""
    from mtac_assets.data.versioning_project import DvcFailure, open_project, run_quietly

    content = secrets.token_bytes(PROBE_BYTES)
    where = public_url(remote_url(project))

    def there_and_back(folder: Path) -> bytes:
        (folder / "sent").write_bytes(content)
        with open_project(project) as repository:
            store = repository.cloud.get_remote_odb("default")
            name = store.fs.join(store.path, f"mtac-doctor-{secrets.token_hex(8)}")
            store.fs.makedirs(store.path, exist_ok=True)
            store.fs.put_file(str(folder / "sent"), name)
            try:
                store.fs.get_file(name, str(folder / "back"))
            finally:
                store.fs.remove(name)
        return (folder / "back").read_bytes()

    folder = Path(tempfile.mkdtemp(prefix="mtac-doctor-"))
    try:
        back = run_quietly(there_and_back, folder)
    except DvcFailure as error:
        finding = Finding(
            f"the remote does not take an object: {error}",
            where,
            "a remote that can be written to and read",
            "see data.remote in the environment's file, its credentials, and the folder's or bucket's permissions",
        )
        return Part("remote", where, [finding])
    finally:
        shutil.rmtree(folder)
    if back != content:
        finding = Finding(
            "the remote gave other bytes back", where, "the bytes that were sent", "look at what lies between"
        )
        return Part("remote", where, [finding])
    return Part("remote", f"{where}: {PROBE_BYTES >> 10} KiB sent, read back and removed")
