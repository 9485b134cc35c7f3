"""The one transition: a decision becomes an entry of the ledger, and MLflow follows it. Whoever decides, writes here.

Belongs here: writing what was decided on the ledger as it was read, deciding anew where it moved on meanwhile, and letting MLflow
follow. Who may go live is `decide`'s to say (a person asks) and `live`'s (live rows tell).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mtac_assets.promotion import view
from mtac_assets.promotion.approved import ApprovedGates
from mtac_assets.promotion.errors import PromotionFrozen
from mtac_assets.promotion.under_way import SHADOW
from mtac_assets.promotion.verdict import Verdict
from mtac_assets.provenance import ledger, ledger_check, signatures
from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.ledger import Entry, LedgerMoved
from mtac_assets.provenance.turns import turn
from mtac_assets.spec import clock
from mtac_assets.spec.errors import raise_all
from mtac_assets.spec.project import Project
from mtac_assets.tracking.errors import TrackingError

TURN_SECONDS = 120.0  # a few judgements


@dataclass(frozen=True)
class Decision:
    """One decision as it stands in the ledger. `promoted`: `model_id` is the champion by it. `previous`: the champion before it.
    `warnings`: what is still to follow."""

    model_id: str
    recipe: str
    promoted: bool
    previous: str | None
    verdicts: Sequence[Verdict]
    entry: Entry
    warnings: Sequence[str]

    @property
    def in_shadow(self) -> bool:
        """Neither promoted nor refused yet: live labels decide."""
        return self.entry.kind == SHADOW

    def document(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "model_id": self.model_id,
            "recipe": self.recipe,
            "promoted": self.promoted,
            "in_shadow": self.in_shadow,
            "previous": self.previous,
            "verdicts": [verdict.document() for verdict in self.verdicts],
            "ledger": {"sequence": self.entry.sequence, "commit": self.entry.commit},
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Draft:
    """What is to be written. `kind`: `promote` and `rollback` make `model_id` the champion, the others leave the champion."""

    kind: str
    model_id: str
    actor: str
    reason: str
    previous: str | None
    verdicts: Sequence[Verdict] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict[str, Any])


def write(
    project: Project,
    recipe: str,
    decide: Callable[[list[Entry]], Draft | Decision | None],
    echo: Callable[[str], None] = lambda _: None,
) -> Decision | None:
    """Write what `decide` makes of the recipe's entries; where the ledger moves on meanwhile, it is asked again.

    A Decision that stands already, or None where there is nothing to decide, comes back as it is. Raises PromotionFrozen
    where the ledger does not verify: it decides nothing.

    Decisions of one machine are made one after the other: of several at once, all but one would judge in vain. That is a courtesy
    alone, and where a turn does not come, one goes on: whether a decision still holds is the ledger's to say.
    """
    require_sound_ledger(project)
    with turn(project.state.locks / f"decision-{project.environment.name}.lock", TURN_SECONDS):
        written = _write(project, recipe, decide, echo)
    if not isinstance(written, _Written):
        return written
    draft, entry = written.draft, written.entry
    promoted = draft.kind in ledger.CHAMPION_KINDS
    warnings = (*_late(project, written.head, entry), *(follow(project, recipe) if promoted else ()))
    return Decision(draft.model_id, recipe, promoted, draft.previous, draft.verdicts, entry, warnings)


@dataclass(frozen=True)
class _Written:
    """A draft as it was written: on the ledger's `head`, as `entry`."""

    draft: Draft
    head: str
    entry: Entry


def _write(
    project: Project,
    recipe: str,
    decide: Callable[[list[Entry]], Draft | Decision | None],
    echo: Callable[[str], None],
) -> _Written | Decision | None:
    environment = project.environment.name
    while True:
        head = ledger.head(project, environment)
        draft = decide(ledger.history(project, environment, recipe))
        if not isinstance(draft, Draft):
            return draft
        try:
            entry = ledger.append(
                project,
                environment,
                kind=draft.kind,
                recipe=recipe,
                model_id=draft.model_id,
                actor=draft.actor,
                reason=draft.reason,
                evidence=draft.evidence,
                expect=head,
            )
        except LedgerMoved:
            echo("another decision was written meanwhile; judging again")
            continue
        return _Written(draft, head, entry)


def _late(project: Project, before: str, entry: Entry) -> tuple[str, ...]:
    """A clock that is behind the entry before: order does not depend on it, but whoever reads the times would be misled."""
    if not before:
        return ()
    last = ledger.read_entry(Repository.at(project.root), before)
    behind = datetime.fromisoformat(last.at) - datetime.fromisoformat(entry.at)
    if behind <= clock.TOLERANCE:
        return ()
    minutes = behind.total_seconds() / 60
    return (f"this machine's clock is {minutes:.0f} min behind the ledger's last entry; set it by NTP (`mtac doctor`)",)


def evidence_of(
    verdicts: Sequence[Verdict], approved: ApprovedGates, champion: str | None, commit: str
) -> dict[str, Any]:
    """What the ledger keeps of every judgement by gates."""
    return {
        "verdicts": [verdict.document() for verdict in verdicts],
        "gates": {"digest": approved.digest, "source": approved.source},
        "judged_against": champion,
        "commit": commit,
    }


def follow(project: Project, recipe: str) -> tuple[str, ...]:
    """Let MLflow follow the ledger. The decision stands whatever MLflow says; what is left to do is a warning."""
    try:
        moved = view.settle(project, recipe)
    except TrackingError as error:
        return (f"MLflow was not told yet ({error.findings[0].error}); the next mtac command tries again",)
    return tuple(f"{one.finding().error}; it was put back and recorded" for one in moved)


def require_sound_ledger(project: Project) -> None:
    """A ledger that does not verify, or that somebody unknown wrote to, decides nothing."""
    raise_all(PromotionFrozen, ledger_check.check(Repository.at(project.root), project.environment.name))
    raise_all(PromotionFrozen, signatures.ledger_problems(project))
