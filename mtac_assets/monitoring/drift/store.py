"""Where references and verdicts lie, and the verdicts' row that persistence looks back on.

<state>/drift/<recipe>/<Model ID>/reference.drift
<state>/drift/<recipe>/<Model ID>/scores.drift
<state>/drift/<recipe>/<Model ID>/scores/              the scores that the reference of the scores was built of
<state>/drift/<recipe>/<Model ID>/<last key of the window>.json
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtac_assets.monitoring.drift.rows import DriftError
from mtac_assets.monitoring.drift.verdict import SCHEMA_VERSION, DriftVerdict, next_state
from mtac_assets.provenance.document import known_object
from mtac_assets.provenance.files import write_json
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project


def folder(project: Project, recipe: str, model_id: str) -> Path:
    return project.state.drift / recipe / model_id


def reference_path(project: Project, recipe: str, model_id: str) -> Path:
    return folder(project, recipe, model_id) / "reference.drift"


def score_reference_path(project: Project, recipe: str, model_id: str) -> Path:
    return folder(project, recipe, model_id) / "scores.drift"


def own_scores_folder(project: Project, recipe: str, model_id: str) -> Path:
    return folder(project, recipe, model_id) / "scores"


def record(place: Path, verdict: DriftVerdict, persistence: int) -> dict[str, Any]:
    """Store a verdict in the folder `place` with the state that it makes of the row before it; returns the document.

    The row is that of the stored windows before this one that do not overlap, by key: a day judged late or again looks
    back on the days before it, whenever those were judged. Later days keep their state until they are judged again.
    """
    history: list[bool | None] = []
    first = verdict.keys[0]
    for document in reversed(verdicts(place)):
        if document["keys"][-1] < first:
            history.insert(0, document["drifted"])
            first = document["keys"][0]
    document = verdict.document(next_state(history, verdict.drifted, persistence))
    write_json(place / f"{verdict.keys[-1]}.json", document)
    return document


def verdicts(place: Path) -> tuple[Mapping[str, Any], ...]:
    """All stored verdicts by the last key of their window. Raises DriftError where one cannot be read."""
    found = []
    for path in sorted(place.glob("*.json")):
        document = known_object(path)
        if document is None or document.get("schema_version") != SCHEMA_VERSION:
            raise DriftError(
                Finding("not a drift verdict of a version known here", str(path), f"schema version {SCHEMA_VERSION}", "remove it and judge its window again")
            )  # fmt: skip
        found.append(document)
    return tuple(found)
