"""Decisions that live rows make: the end of a shadow period, and a look at a champion on probation.

What is under way is the ledger's to say (`under_way`), what the rows say `monitoring.live_comparison`'s; here the two become
one entry each, by the one transition. Everything may be asked again at any time: what was decided is not decided twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mtac_assets.monitoring import shadow
from mtac_assets.monitoring import stored_predictions as stored
from mtac_assets.monitoring.live_comparison import judge_rollback, judge_shadow
from mtac_assets.monitoring.live_days import first_day_to_come
from mtac_assets.promotion import under_way
from mtac_assets.promotion.approved import approved_gates
from mtac_assets.promotion.decide import taken_back
from mtac_assets.promotion.gates import judge
from mtac_assets.promotion.gather import gather
from mtac_assets.promotion.transition import Decision, Draft, evidence_of, write
from mtac_assets.promotion.under_way import KEEP, LIVE_FROM, PROMOTE, REFUSE, SHADOW_GATE, InShadow, Probation
from mtac_assets.promotion.verdict import Verdict
from mtac_assets.provenance import ledger, refs

if TYPE_CHECKING:
    from mtac_assets.provenance.ledger import Entry
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.recipe import Rollback

ACTOR = "mtac watch"  # no person: the approval that counts is that of whoever asked for the promotion


@dataclass(frozen=True)
class Due:
    """A decision whose days have their labels. `what`: shadow or rollback; `number`: the look, of a rollback."""

    what: str
    model_id: str
    number: int
    days: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        return {"what": self.what, "model_id": self.model_id, "number": self.number, "days": list(self.days)}


def due(project: Project, recipe: str, rollback: Rollback | None) -> tuple[Due, ...]:
    """What can be decided now, from the ledger and the documents beside the scores; no score is read, nothing is heavy.

    `rollback`: the recipe's; it may not be the approved one, which `decide_due` goes by.
    """
    entries = ledger.history(project, project.environment.name, recipe)
    found: list[Due] = []
    for each in under_way.shadows(entries):
        days = tuple(_labelled(project, recipe, each.model_id, each.live_from)[: each.days])
        if len(days) == each.days:
            found.append(Due(SHADOW_GATE, each.model_id, 0, days))
    probation = under_way.probation(entries, recipe)
    if probation is not None and rollback is not None and probation.looks < rollback.looks:
        days = shadow.rollback_days(_labelled(project, recipe, probation.champion, probation.live_from), rollback)
        look = len(days) // rollback.window_days
        if look > probation.looks:
            found.append(Due("rollback", probation.champion, look, days))
    return tuple(found)


def decide_due(project: Project, recipe: str, echo: Callable[[str], None] = lambda _: None) -> list[Decision]:
    """Decide all that can be: the present champion's look first, then shadows in the order in which they began.

    Raises what `monitoring.live_comparison` raises where the two models' scores cannot be compared.
    """
    found: list[Decision] = []
    look = look_back(project, recipe)
    if look is not None:
        found.append(look)
    entries = ledger.history(project, project.environment.name, recipe)
    for each in under_way.shadows(entries):
        concluded = conclude(project, recipe, each.model_id, echo)
        if concluded is not None:
            found.append(concluded)
    return found


def conclude(
    project: Project, recipe: str, model_id: str, echo: Callable[[str], None] = lambda _: None
) -> Decision | None:
    """End a challenger's shadow period: promoted or refused by all gates read anew, and its live rows as a further one.

    None where it is in no shadow, or its days have no labels yet.
    """
    summary = refs.find_model(project, model_id)

    def judged(entries: list[Entry]) -> Draft | None:
        begun = next((each for each in under_way.shadows(entries) if each.model_id == model_id), None)
        champion = ledger.champion(entries, recipe)
        if begun is None or champion is None or champion.model_id is None:
            return None
        live = _shadow_verdict(project, recipe, champion.model_id, begun)
        if live.decision == "wait":
            return None
        approved = approved_gates(project, recipe)
        asked_by = begun.entry.actor
        evidence = gather(project, summary, champion, entries, approved.gates, asked_by, echo)
        verdicts = judge(evidence, approved.gates, project.environment.promotion)
        verdicts.append(Verdict(SHADOW_GATE, live.decision == "promote", live.reason, live.evidence))
        kept = evidence_of(verdicts, approved, champion.model_id, summary.commit)
        kept |= {"approved_by": asked_by, SHADOW_GATE: {"entry": begun.entry.sequence, LIVE_FROM: begun.live_from}}
        promoted = all(verdict.passed for verdict in verdicts)
        if promoted:
            kept |= {LIVE_FROM: first_day_to_come(project, model_id)}
        kind = PROMOTE if promoted else REFUSE
        return Draft(kind, model_id, ACTOR, f"after its shadow: {live.reason}", champion.model_id, verdicts, kept)

    return write(project, recipe, judged, echo)


def look_back(project: Project, recipe: str) -> Decision | None:
    """The next look at a champion on probation: it is kept, or its predecessor takes its place again.

    None where there is no look to make: no probation, no `triggers.rollback` on the approved branch, labels missing, or made.
    """

    def judged(entries: list[Entry]) -> Draft | None:
        probation = under_way.probation(entries, recipe)
        settings = approved_gates(project, recipe).rollback if probation is not None else None
        if probation is None or settings is None:
            return None
        live = _rollback_verdict(project, recipe, probation, settings)
        look = live.evidence["look"]
        if look <= probation.looks:
            return None
        champion, former = probation.champion, probation.predecessor
        evidence = {"look": look, "live": live.document()}
        if live.decision == "keep":
            kept = {**evidence, "predecessor": former}
            return Draft(KEEP, champion, ACTOR, live.reason, champion, (), kept)
        approver = under_way.approver(entries, former)
        return taken_back(
            project, recipe, entries, champion, former,
            by=ACTOR, reason=live.reason, approved_by=approver, live={**evidence, "approved_by": approver},
        )  # fmt: skip

    return write(project, recipe, judged)


def _shadow_verdict(project: Project, recipe: str, champion: str, begun: InShadow) -> shadow.Verdict:
    days = _scored(project, recipe, begun.model_id, begun.live_from)
    return judge_shadow(project, champion, begun.model_id, days, begun.settings)


def _rollback_verdict(project: Project, recipe: str, probation: Probation, settings: Rollback) -> shadow.Verdict:
    days = _scored(project, recipe, probation.champion, probation.live_from)
    return judge_rollback(project, probation.champion, probation.predecessor, days, settings)


def _scored(project: Project, recipe: str, model_id: str, live_from: str) -> tuple[str, ...]:
    return tuple(day for day in stored.scored_days(project, recipe, model_id) if day >= live_from)


def _labelled(project: Project, recipe: str, model_id: str, live_from: str) -> list[str]:
    """Scored days from `live_from` on of which a row has a label, by the documents beside the scores."""
    folder = stored.folder_of(project, recipe, model_id)
    found = []
    for day in _scored(project, recipe, model_id, live_from):
        manifest = stored.PredictionManifest.read(stored.manifest_path(folder, day))
        if manifest is not None and manifest.labelled:
            found.append(day)
    return found
