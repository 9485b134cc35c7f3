"""The gates' preview says what the gates say, and only for gates that the recipe has."""

from __future__ import annotations

import dagster as dg

from mtac_assets.orchestration.gate_checks import gate_checks, gate_specs
from mtac_assets.spec.project import Project
from mtac_assets.spec.recipe import BaselineGate, Gates, Threshold

REPORT = {
    "model_id": "floods-0123456789ab",
    "metrics": {
        "roc_auc": {"value": 0.71, "low": 0.69, "high": 0.73},
        "log_loss": {"value": 0.5, "low": 0.4, "high": 0.6},
    },
    "baselines": {"base_rate": {"log_loss": {"value": 0.6, "low": 0.5, "high": 0.7}}},
    "slices": [],
}


def test_one_check_a_kind_of_gate_with_the_gates_own_verdict(project: Project) -> None:
    gates = Gates(
        thresholds=(Threshold(metric="roc_auc", min=0.7), Threshold(metric="roc_auc", min=0.8)),
        baseline=BaselineGate(name="base_rate", metric="log_loss", min_improvement=0.0),
    )
    specs = gate_specs(dg.AssetKey(["floods", "report"]), gates)
    results = list(gate_checks(REPORT, gates, project.environment.promotion))
    assert [spec.name for spec in specs] == [result.check_name for result in results] == ["thresholds", "baseline"]
    assert not any(spec.blocking for spec in specs)
    assert [result.passed for result in results] == [False, True]
    assert "**failed**" in str(results[0].metadata["verdicts"].value)


def test_a_recipe_without_gates_has_no_checks(project: Project) -> None:
    assert gate_specs(dg.AssetKey(["floods", "report"]), Gates()) == []
    assert list(gate_checks(REPORT, Gates(), project.environment.promotion)) == []
