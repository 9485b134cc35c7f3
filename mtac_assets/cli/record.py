"""A model's record as the command line shows it, read from its pack and report. Light: JSON files only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mtac_assets.cli.output import shown_path
from mtac_assets.provenance.files import read_json

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


def model_record(project: Project, model_id: str) -> dict[str, Any]:
    """Identity, metrics and baselines of one model of this state folder, as `mtac run --json` prints them."""
    pack = project.state.models / model_id
    folder = project.state.reports / model_id
    report = read_json(folder / "report.json")
    return {
        "schema_version": 1,
        "model_id": model_id,
        "recipe": read_json(pack / "recipe.json")["name"],
        "as_of": report["as_of"],
        "fingerprint": read_json(pack / "declaration.json")["fingerprint"],
        "weights_digest": read_json(pack / "digests.json")["weights_digest"],
        "metrics": report["metrics"],
        "baselines": report["baselines"],
        "test_rows": report["test"]["rows"],
        "report": shown_path(folder / "report.html"),
    }
