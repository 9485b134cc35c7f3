"""What an examination says of one part of an environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project


@dataclass(frozen=True)
class Part:
    """`says`: what was looked at and found, in a few words. `problems` stop work; `worries` do not yet."""

    name: str
    says: str
    problems: Sequence[Finding] = ()
    worries: Sequence[Finding] = ()

    @property
    def state(self) -> str:
        return "bad" if self.problems else "worrying" if self.worries else "good"

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "state": self.state,
            "says": self.says,
            "problems": [finding.document() for finding in self.problems],
            "worries": [finding.document() for finding in self.worries],
        }


Examine = Callable[[Project], Part]
