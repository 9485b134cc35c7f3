"""The recipe's gates on a report, shown as asset checks: a preview. Promotion reads the gates anew and trusts none of this."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration import metadata
from mtac_assets.promotion import gates as rules

if TYPE_CHECKING:
    from mtac_assets.promotion.verdict import Verdict
    from mtac_assets.spec.environment import Promotion
    from mtac_assets.spec.recipe import Gates

Gate = Callable[..., "Iterator[Verdict]"]

# Those that need a report and nothing else; the others wait for the decision.
SHOWN: dict[str, tuple[Gate, str]] = {
    "thresholds": (rules.thresholds, "Metrics on the test rows keep the recipe's bounds."),
    "slices": (rules.slices, "Each slice with enough rows keeps the recipe's bounds."),
    "baseline": (rules.baseline, "The model beats the recipe's baseline on the same rows."),
}


def gate_specs(asset: dg.AssetKey, gates: "Gates") -> list[dg.AssetCheckSpec]:
    """One check for each kind of gate that the recipe has. None blocks: a weak model is a result, not a failure."""
    return [
        dg.AssetCheckSpec(name, asset=asset, blocking=False, description=description)
        for name, (_, description) in SHOWN.items()
        if getattr(gates, name, None)
    ]


def gate_checks(report: Mapping[str, Any], gates: "Gates", environment: "Promotion") -> Iterator[dg.AssetCheckResult]:
    """The verdicts of those gates on `report`."""
    evidence = rules.Evidence(
        model_id=report["model_id"],
        report=report,
        champion_id=None,
        comparison=None,
        reproduction=None,
        unstamped=(),
        damaged=(),
        dirty=False,
        code_commit="",
        branches_containing=(),
        actor="",
    )
    for name, (gate, _) in SHOWN.items():
        if getattr(gates, name, None):
            verdicts = list(gate(evidence, gates, environment))
            rows = [
                [verdict.gate, "passed" if verdict.passed else "**failed**", verdict.reason] for verdict in verdicts
            ]
            yield dg.AssetCheckResult(
                check_name=name,
                passed=all(verdict.passed for verdict in verdicts),
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"verdicts": metadata.table(["gate", "verdict", "reason"], rows), **_numbers(verdicts)},
            )


def _numbers(verdicts: "list[Verdict]") -> dict[str, float]:
    """What the gates looked at, as numbers of their own: the UI draws them over time."""
    return {
        f"{verdict.gate} {name}": float(value)
        for verdict in verdicts
        for name, value in verdict.evidence.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
