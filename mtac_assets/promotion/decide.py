"""The decision: may this model go live? Reads all evidence anew, judges, and writes the ledger before anything moves.

A promotion is judged against the champion of the moment it is written: if the ledger moved on meanwhile, it is judged
again. MLflow follows afterwards (`view.settle`); when it is down the decision stands, and the next start completes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mtac_assets.monitoring.live_days import first_day_to_come
from mtac_assets.promotion import under_way
from mtac_assets.promotion.approved import approved_gates
from mtac_assets.promotion.errors import PromotionError, PromotionFrozen
from mtac_assets.promotion.gates import judge
from mtac_assets.promotion.gather import gather
from mtac_assets.promotion.told import is_told, remember_told
from mtac_assets.promotion.transition import Decision, Draft, evidence_of, follow, require_sound_ledger, write
from mtac_assets.promotion.under_way import LIVE_FROM, PROMOTE, REFUSE, ROLLBACK, SHADOW, SHADOW_GATE
from mtac_assets.promotion.verdict import Verdict
from mtac_assets.provenance import ledger, refs
from mtac_assets.provenance.git import GitError
from mtac_assets.provenance.ledger import Entry
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project


def promote(
    project: Project,
    prefix: str,
    *,
    by: str,
    reason: str,
    echo: Callable[[str], None] = lambda _: None,
) -> Decision:
    """Judge a model and, if every gate passes, make it the champion of its recipe. All outcomes are ledger entries.

    Where the approved recipe asks for a shadow period and there is a champion to stand beside, a model that passes enters its
    shadow instead: live labels decide (`live.conclude`), once. Promoting the present champion, or a model in its shadow, again is
    a no-op that returns its entry. Raises UnknownModelError, PromotionFrozen, PromotionError where the evidence cannot be gathered.
    """
    summary = refs.find_model(project, refs.resolve_id(project, prefix))
    recipe = summary.recipe

    def judged(entries: list[Entry]) -> Draft | Decision:
        champion = ledger.champion(entries, recipe)
        if champion is not None and champion.model_id == summary.model_id:
            return Decision(summary.model_id, recipe, True, None, (), champion, follow(project, recipe))
        begun = next((each for each in under_way.shadows(entries) if each.model_id == summary.model_id), None)
        previous = champion.model_id if champion is not None else None
        if begun is not None:
            return Decision(summary.model_id, recipe, False, previous, (), begun.entry, ())
        approved = approved_gates(project, recipe)
        evidence = gather(project, summary, champion, entries, approved.gates, by, echo)
        verdicts = judge(evidence, approved.gates, project.environment.promotion)
        shadow = approved.shadow if previous is not None else None
        if shadow is not None and (before := under_way.refused_in_shadow(entries, summary.model_id)) is not None:
            verdicts.append(_judged_before(before))
        kept = evidence_of(verdicts, approved, previous, summary.commit)
        if not all(verdict.passed for verdict in verdicts):
            return Draft(REFUSE, summary.model_id, by, reason, previous, verdicts, kept)
        live_from = first_day_to_come(project, summary.model_id)
        if shadow is None:
            return Draft(PROMOTE, summary.model_id, by, reason, previous, verdicts, kept | {LIVE_FROM: live_from})
        begins = {"settings": shadow.model_dump(mode="json"), LIVE_FROM: live_from}
        return Draft(SHADOW, summary.model_id, by, reason, previous, verdicts, kept | {SHADOW_GATE: begins})

    decision = write(project, recipe, judged, echo)
    assert decision is not None, "a person who asks is answered"
    return decision


def rollback(project: Project, recipe: str, *, by: str, reason: str) -> Decision:
    """Make the champion before the present one champion again, if its pack and commit are intact and `by` may approve."""

    def judged(entries: list[Entry]) -> Draft:
        present, former = _last_two(entries, recipe)
        return taken_back(project, recipe, entries, present, former, by=by, reason=reason)

    decision = write(project, recipe, judged)
    assert decision is not None, "a person who asks is answered"
    return decision


def taken_back(
    project: Project,
    recipe: str,
    entries: Sequence[Entry],
    present: str,
    former: str,
    *,
    by: str,
    reason: str,
    approved_by: str | None = None,
    live: Mapping[str, Any] | None = None,
) -> Draft:
    """A rollback to `former`, or the refusal of one. `approved_by`: whose approval counts where `by` is no person; `live`: what
    live rows said."""
    summary = refs.find_model(project, former)
    approved = approved_gates(project, recipe)
    evidence = gather(project, summary, None, entries, approved.gates, approved_by or by, rejudge=False)
    verdicts = [
        verdict
        for verdict in judge(evidence, approved.gates, project.environment.promotion)
        if verdict.gate in ("integrity", "data_stamps", "reproduction", "approval")
    ]
    kept = {**evidence_of(verdicts, approved, None, summary.commit), "from": present, **(live or {})}
    kind = ROLLBACK if all(verdict.passed for verdict in verdicts) else REFUSE
    return Draft(kind, former, by, reason, present, verdicts, kept)


def settle_all(project: Project, *, ask_again: bool = False) -> list[str]:
    """What a crash or an unreachable MLflow left undone, completed; what could not be, and aliases moved by hand, as warnings.

    The ledger's head up to which all was told is remembered, so that a start with nothing to do imports no MLflow; with
    `ask_again` MLflow is asked all the same, which is how an alias moved by hand is noticed. A ledger that does not verify is
    not followed, and none where the environment says `mlflow.deliver: false`.
    """
    environment = project.environment.name
    if not project.environment.mlflow.deliver:
        return []
    try:
        head = ledger.head(project, environment)
        if not head or (not ask_again and is_told(project)):
            return []
        require_sound_ledger(project)
        recipes = {entry.recipe for entry in ledger.entries(project, environment) if entry.recipe is not None}
        warnings = [warning for recipe in sorted(recipes) for warning in follow(project, recipe)]
    except (GitError, PromotionFrozen) as error:
        return [f"MLflow does not follow the ledger: {finding.error}" for finding in error.findings]
    if not warnings:
        remember_told(project, head)
    return warnings


def _last_two(entries: Sequence[Entry], recipe: str) -> tuple[str, str]:
    """The present champion and the one that a rollback returns to."""
    champion = ledger.champion(entries, recipe)
    if champion is None or champion.model_id is None:
        raise PromotionError(
            Finding(f"{recipe} has no champion", "the ledger", "a champion to take back", "`mtac promote` makes one")
        )
    former = under_way.former_champion(entries)
    if former is None:
        raise PromotionError(
            Finding(
                f"{recipe} has had no other champion than {champion.model_id}",
                "the ledger",
                "an earlier champion to return to",
                "promote another model instead",
            )
        )
    return champion.model_id, former


def _judged_before(entry: Entry) -> Verdict:
    """Live rows have said no to this model: asked often enough, they would say yes to any."""
    said = next(verdict for verdict in entry.evidence["verdicts"] if verdict["gate"] == SHADOW_GATE)
    reason = f"refused at the end of its shadow period (entry {entry.sequence}): {said['reason']}"
    return Verdict(SHADOW_GATE, False, reason, {"entry": entry.sequence})
