"""How far MLflow has been told of the ledger: the head of which it knows all, remembered in the state.

Light, so that every command may ask at its start: the ledger's reference is looked up, and nothing of it is read. Telling it is `decide.settle_all`'s matter.
"""

from __future__ import annotations

from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.provenance.git import LEDGER, Repository
from mtac_assets.spec.project import Project

SETTLED = "settled.json"  # environment to the ledger's head of which MLflow knows all


def is_told(project: Project) -> bool:
    """Does MLflow know all that the ledger of this environment says, as far as is remembered? Raises GitError."""
    mark = project.state.cache / SETTLED
    head = Repository.at(project.root).resolve(LEDGER + project.environment_name)
    return head is None or (mark.is_file() and read_json(mark).get(project.environment_name) == head)


def remember_told(project: Project, head: str) -> None:
    """MLflow was told of everything up to `head`."""
    mark = project.state.cache / SETTLED
    before = read_json(mark) if mark.is_file() else {"schema_version": 1}
    write_json(mark, before | {project.environment_name: head})
