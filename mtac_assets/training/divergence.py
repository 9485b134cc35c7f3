"""Where two traces of the same first steps part. See `trace` for their entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Divergence:
    """Where two runs first differ. `operation` is the module's class (or the optimiser's), `phase` one of initial, forward, backward,

    update; `step` -1 before the first."""

    step: int
    phase: str
    name: str
    operation: str

    def __str__(self) -> str:
        where = "before the first step" if self.step < 0 else f"at step {self.step}"
        return f"{self.name} ({self.operation}, {self.phase}) {where}"


def first_divergence(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> Divergence | None:
    """The first entry that is not the same in both traces, None where they are equal."""
    for one, other in zip(first, second, strict=False):
        if one != other:
            return Divergence(one["step"], one["phase"], one["name"], one["operation"])
    if len(first) != len(second):
        longer = max(first, second, key=len)[min(len(first), len(second))]
        return Divergence(longer["step"], longer["phase"], longer["name"], longer["operation"])
    return None
