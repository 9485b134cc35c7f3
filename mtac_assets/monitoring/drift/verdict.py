"""The verdict on one window, and what a row of verdicts amounts to: OK, WATCH, ALARM or INSUFFICIENT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mtac_assets.monitoring.drift.components import UNITS, Component

SCHEMA_VERSION = 1

State = Literal["OK", "WATCH", "ALARM", "INSUFFICIENT"]


@dataclass(frozen=True)
class Driver:
    """One component of a window. `effect` in `unit`, `floor` what it must reach to matter, `ratio` its size over the
    threshold of the whole family: above 1 it is rarer than the false alarms that the recipe allows."""

    component: Component
    effect: float
    floor: float
    ratio: float
    evidence: Mapping[str, Any]

    @property
    def drives(self) -> bool:
        return self.ratio > 1 and self.effect >= self.floor

    def document(self) -> dict[str, Any]:
        other = self.component.other
        return {
            "kind": self.component.kind,
            "column": self.component.column.name,
            "role": self.component.column.role,
            "other": other.name if other else None,
            "other_role": other.role if other else None,
            "effect": self.effect,
            "unit": UNITS[self.component.kind],
            "floor": self.floor,
            "ratio": self.ratio,
            "drives": self.drives,
            "evidence": dict(self.evidence),
        }


@dataclass(frozen=True)
class DriftVerdict:
    """`drifted` None: too little to tell, and `reason` says of what. `ratio`: the largest component that matters, over
    the threshold. `ranked`: components by ratio, at least all that drive."""

    keys: tuple[str, ...]
    drifted: bool | None
    rows: int
    reason: str | None = None
    p_value: float | None = None
    ratio: float | None = None
    ranked: tuple[Driver, ...] = ()
    unjudged: tuple[tuple[Component, str], ...] = ()
    method: Mapping[str, Any] | None = None

    @property
    def drivers(self) -> tuple[Driver, ...]:
        return tuple(driver for driver in self.ranked if driver.drives)

    def document(self, state: State | None = None) -> dict[str, Any]:
        """Plain JSON values; `state` where persistence has been applied."""
        return {
            "schema_version": SCHEMA_VERSION,
            "keys": list(self.keys),
            "state": state,
            "drifted": self.drifted,
            "reason": self.reason,
            "rows": self.rows,
            "p_value": self.p_value,
            "ratio": self.ratio,
            "components": [driver.document() for driver in self.ranked],
            "unjudged": [
                {
                    "kind": component.kind,
                    "column": component.column.name,
                    "role": component.column.role,
                    "other": component.other.name if component.other else None,
                    "reason": reason,
                }
                for component, reason in self.unjudged
            ],
            "method": dict(self.method) if self.method is not None else None,
        }


def next_state(history: Sequence[bool | None], drifted: bool | None, persistence: int) -> State:
    """The state after a window. `history`: `drifted` of the windows before it, oldest first.

    ALARM after `persistence` drifted windows in a row, WATCH before that. A window that could not be judged is
    INSUFFICIENT, and neither ends a row of drifted windows nor counts into it.
    """
    assert persistence >= 1
    if drifted is None:
        return "INSUFFICIENT"
    if not drifted:
        return "OK"
    running = 1
    for before in reversed(history):
        if before is None:
            continue
        if not before:
            break
        running += 1
    return "ALARM" if running >= persistence else "WATCH"
