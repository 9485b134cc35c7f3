"""What a gate says: passed or not, in words, with the numbers it looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Verdict:
    """One gate's answer. `evidence` holds plain JSON values, enough to follow the reason without the system."""

    gate: str
    passed: bool
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def document(self) -> dict[str, Any]:
        return {
            "gate": self.gate,
            "passed": self.passed,
            "reason": self.reason,
            "evidence": _plain(dict(self.evidence)),
        }


def at_least(value: float | None, bound: float) -> bool:
    """`value >= bound`; NaN and a missing value pass no comparison in either direction."""
    return value is not None and value == value and value >= bound


def at_most(value: float | None, bound: float) -> bool:
    """`value <= bound`; NaN and a missing value pass no comparison in either direction."""
    return value is not None and value == value and value <= bound


def shown(value: float | None) -> str:
    """A number in a reason: four digits, or the word for what is no number."""
    return "missing" if value is None else f"{value:.4f}"


def _plain(value: Any) -> Any:
    """The same value as JSON can hold it: a NaN or infinity becomes its name, so that it is kept and not compared."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
