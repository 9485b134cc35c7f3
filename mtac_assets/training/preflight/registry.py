"""The registry: a check is a function of the facts, under an identifier; all run, whatever others find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from mtac_assets.spec.errors import Finding
from mtac_assets.training.preflight.facts import Facts


@dataclass(frozen=True)
class Result:
    """`evidence` are the numbers that decided it; `finding` is None where the check passed. `where` is a field of the recipe.

    `remark`: what is worth knowing and refuses nothing.
    """

    id: str
    evidence: dict[str, Any]
    finding: Finding | None = None
    remark: str | None = None

    @property
    def passed(self) -> bool:
        return self.finding is None

    def document(self) -> dict[str, Any]:
        found = None if self.finding is None else self.finding.document()
        return {
            "id": self.id,
            "passed": self.passed,
            "evidence": self.evidence,
            "finding": found,
            "remark": self.remark,
        }


@dataclass
class Judgement:
    """What a check fills in: evidence always, a finding where it fails. The first finding stands."""

    evidence: dict[str, Any] = field(default_factory=dict)
    finding: Finding | None = None
    remark: str | None = None

    def fail(self, error: str, where: str, expected: str, remedy: str) -> None:
        self.finding = self.finding or Finding(error, where, expected, remedy)


Check = Callable[[Facts, Judgement], bool | None]
CHECKS: dict[str, Check] = {}


def check(identifier: str) -> Callable[[Check], Check]:
    """Enter a check. It returns False where it has nothing to say of such a recipe; then it is not listed."""

    def enter(function: Check) -> Check:
        assert identifier not in CHECKS, identifier
        CHECKS[identifier] = function
        return function

    return enter


def run(facts: Facts) -> tuple[Result, ...]:
    """Every check that has something to say, in the order in which they are entered."""
    for module in ("network", "batches", "machine"):  # importing one enters its checks
        import_module(f"mtac_assets.training.preflight.{module}")
    results: list[Result] = []
    for identifier, function in CHECKS.items():
        judgement = Judgement()
        if function(facts, judgement) is not False:
            results.append(Result(identifier, judgement.evidence, judgement.finding, judgement.remark))
    return tuple(results)
