"""A model's record as the command line shows it, read from its pack and report. Light: JSON files only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mtac_assets.cli.output import shown_path
from mtac_assets.provenance.files import read_json

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


# As people read them: ranking before probabilities, the plainest baseline first.
METRICS = ("roc_auc", "pr_auc", "log_loss", "brier", "calibration_error")
BASELINES = ("base_rate", "logistic_regression", "hist_gradient_boosting")


def in_order(found: Mapping[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """The same entries: those of `order` first, then the others."""
    return {name: found[name] for name in (*order, *found) if name in found}


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
        "metrics": in_order(report["metrics"], METRICS),
        "baselines": {
            name: in_order(metrics, METRICS) for name, metrics in in_order(report["baselines"], BASELINES).items()
        },
        "test_rows": report["test"]["rows"],
        "report": shown_path(folder / "report.html"),
    }
