"""How far MLflow has been told of the ledger: the head of which it knows all, remembered in the state.

Light, so that every command may ask at its start: the ledger's reference is looked up, and nothing of it is read. Telling it is `decide.settle_all`'s matter.
"""

from __future__ import annotations

from contextlib import suppress

from mtac_assets.provenance import ledger
from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.provenance.git import LEDGER, Repository
from mtac_assets.spec.project import Project

SETTLED = "settled.json"  # environment to the ledger's head of which MLflow knows all


def is_told(project: Project) -> bool:
    """Does MLflow know all that the ledger of this environment says, as far as is remembered? Raises GitError."""
    head = Repository.at(project.root).resolve(LEDGER + project.environment_name)
    return head is None or _remembered(project) == head


def remember_told(project: Project, head: str) -> None:
    """MLflow was told of everything up to `head`."""
    mark = project.state.cache / SETTLED
    before = read_json(mark) if mark.is_file() else {"schema_version": 1}
    write_json(mark, before | {project.environment_name: head})


def remember_told_of(project: Project, recipe: str, head: str) -> None:
    """MLflow was told of everything up to `head` that is about `recipe`: of all, where nothing else was left to tell."""
    known = _remembered(project)
    found = ledger.entries(project, project.environment_name)
    commits = [entry.commit for entry in found]
    if head not in commits or (known is not None and known not in commits):
        return  # another chain: `decide.settle_all` verifies and tells all of it
    untold = found[0 if known is None else commits.index(known) + 1 : commits.index(head) + 1]
    if all(entry.recipe in (recipe, None) for entry in untold):
        # A decision that stands must not fail by this: the next start then asks MLflow again, and says what it could not keep.
        with suppress(OSError):
            remember_told(project, head)


def _remembered(project: Project) -> str | None:
    mark = project.state.cache / SETTLED
    return read_json(mark).get(project.environment_name) if mark.is_file() else None
