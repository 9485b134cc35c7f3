"""The decision: may this model go live? Reads all evidence anew, judges, and writes the ledger before anything moves.

A promotion is judged against the champion of the moment it is written: if the ledger moved on meanwhile, it is judged
again. MLflow follows afterwards (`view.settle`); when it is down the decision stands, and the next start completes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mtac_assets.promotion import view
from mtac_assets.promotion.approved import ApprovedGates, approved_gates
from mtac_assets.promotion.errors import PromotionError, PromotionFrozen
from mtac_assets.promotion.gates import judge
from mtac_assets.promotion.gather import gather
from mtac_assets.promotion.verdict import Verdict
from mtac_assets.provenance import ledger, ledger_check, refs
from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.provenance.git import GitError, Repository
from mtac_assets.provenance.ledger import Entry, LedgerMoved
from mtac_assets.spec.errors import Finding, raise_all
from mtac_assets.spec.project import Project
from mtac_assets.tracking.errors import TrackingError

PROMOTE = "promote"
REFUSE = "refuse"
ROLLBACK = "rollback"
SETTLED = "settled.json"  # environment to the ledger's head of which MLflow knows all


@dataclass(frozen=True)
class Decision:
    """One decision as it stands in the ledger. `previous`: the champion before it. `warnings`: what is still to follow."""

    model_id: str
    recipe: str
    promoted: bool
    previous: str | None
    verdicts: Sequence[Verdict]
    entry: Entry
    warnings: Sequence[str]

    def document(self) -> dict[str, Any]:
        return {
            "schema_version": 1,
            "model_id": self.model_id,
            "recipe": self.recipe,
            "promoted": self.promoted,
            "previous": self.previous,
            "verdicts": [verdict.document() for verdict in self.verdicts],
            "ledger": {"sequence": self.entry.sequence, "commit": self.entry.commit},
            "warnings": list(self.warnings),
        }


def promote(
    project: Project,
    prefix: str,
    *,
    by: str,
    reason: str,
    echo: Callable[[str], None] = lambda _: None,
) -> Decision:
    """Judge a model and, if every gate passes, make it the champion of its recipe. Both outcomes are ledger entries.

    Promoting the present champion again is a no-op that returns its entry. Raises UnknownModelError, PromotionFrozen,
    PromotionError where the evidence cannot be gathered.
    """
    environment = project.environment.name
    summary = refs.find_model(project, refs.resolve_id(project, prefix))
    _require_sound_ledger(project)
    while True:
        head = ledger.head(project, environment)
        entries = ledger.history(project, environment, summary.recipe)
        champion = ledger.champion(entries, summary.recipe)
        if champion is not None and champion.model_id == summary.model_id:
            return Decision(
                summary.model_id, summary.recipe, True, None, (), champion, _follow(project, summary.recipe)
            )
        approved = approved_gates(project, summary.recipe)
        evidence = gather(project, summary, champion, entries, approved.gates, by, echo)
        verdicts = judge(evidence, approved.gates, project.environment.promotion)
        promoted = all(verdict.passed for verdict in verdicts)
        try:
            entry = ledger.append(
                project,
                environment,
                kind=PROMOTE if promoted else REFUSE,
                recipe=summary.recipe,
                model_id=summary.model_id,
                actor=by,
                reason=reason,
                evidence=_evidence(verdicts, approved, champion, summary.commit),
                expect=head,
            )
        except LedgerMoved:
            echo("another decision was written meanwhile; judging again")
            continue
        previous = champion.model_id if champion is not None else None
        warnings = _follow(project, summary.recipe) if promoted else ()
        return Decision(summary.model_id, summary.recipe, promoted, previous, verdicts, entry, warnings)


def rollback(project: Project, recipe: str, *, by: str, reason: str) -> Decision:
    """Make the champion before the present one champion again, if its pack and commit are intact and `by` may approve."""
    environment = project.environment.name
    _require_sound_ledger(project)
    while True:
        head = ledger.head(project, environment)
        entries = ledger.history(project, environment, recipe)
        present, former = _last_two(entries, recipe)
        summary = refs.find_model(project, former)
        approved = approved_gates(project, recipe)
        evidence = gather(project, summary, None, entries, approved.gates, by, rejudge=False)
        verdicts = [
            verdict
            for verdict in judge(evidence, approved.gates, project.environment.promotion)
            if verdict.gate in ("integrity", "data_stamps", "reproduction", "approval")
        ]
        promoted = all(verdict.passed for verdict in verdicts)
        try:
            entry = ledger.append(
                project,
                environment,
                kind=ROLLBACK if promoted else REFUSE,
                recipe=recipe,
                model_id=former,
                actor=by,
                reason=reason,
                evidence={**_evidence(verdicts, approved, None, summary.commit), "from": present},
                expect=head,
            )
        except LedgerMoved:
            continue
        warnings = _follow(project, recipe) if promoted else ()
        return Decision(former, recipe, promoted, present, verdicts, entry, warnings)


def settle_all(project: Project, *, ask_again: bool = False) -> list[str]:
    """What a crash or an unreachable MLflow left undone, completed; what could not be, and aliases moved by hand, as warnings.

    The ledger's head up to which all was told is remembered, so that a start with nothing to do imports no MLflow; with
    `ask_again` MLflow is asked all the same, which is how an alias moved by hand is noticed. A ledger that does not verify is
    not followed.
    """
    environment, mark = project.environment.name, project.state.cache / SETTLED
    try:
        head = ledger.head(project, environment)
        if not head or (not ask_again and mark.is_file() and read_json(mark).get(environment) == head):
            return []
        _require_sound_ledger(project)
        recipes = {entry.recipe for entry in ledger.entries(project, environment) if entry.recipe is not None}
        warnings = [warning for recipe in sorted(recipes) for warning in _follow(project, recipe)]
    except (GitError, PromotionFrozen) as error:
        return [f"MLflow does not follow the ledger: {finding.error}" for finding in error.findings]
    if not warnings:
        before = read_json(mark) if mark.is_file() else {"schema_version": 1}
        write_json(mark, before | {environment: head})
    return warnings


def _follow(project: Project, recipe: str) -> tuple[str, ...]:
    """Let MLflow follow the ledger. The decision stands whatever MLflow says; what is left to do is a warning."""
    try:
        moved = view.settle(project, recipe)
    except TrackingError as error:
        return (f"MLflow was not told yet ({error.findings[0].error}); the next mtac command tries again",)
    return tuple(f"{one.finding().error}; it was put back and recorded" for one in moved)


def _last_two(entries: Sequence[Entry], recipe: str) -> tuple[str, str]:
    """The present champion and the newest champion before it that is another model."""
    champions = [entry.model_id for entry in entries if entry.kind in ledger.CHAMPION_KINDS and entry.model_id]
    if not champions:
        raise PromotionError(
            Finding(f"{recipe} has no champion", "the ledger", "a champion to take back", "`mtac promote` makes one")
        )
    present = champions[-1]
    # A rollback undoes promotions one by one: what it led back to is not what it came from.
    standing: list[str] = []
    for entry in entries:
        if entry.kind == PROMOTE and entry.model_id is not None:
            standing.append(entry.model_id)
        elif entry.kind == ROLLBACK and standing:
            standing.pop()
    former = next((model for model in reversed(standing) if model != present), None)
    if former is None:
        raise PromotionError(
            Finding(
                f"{recipe} has had no other champion than {present}",
                "the ledger",
                "an earlier champion to return to",
                "promote another model instead",
            )
        )
    return present, former


def _evidence(
    verdicts: Sequence[Verdict], approved: ApprovedGates, champion: Entry | None, commit: str
) -> Mapping[str, Any]:
    return {
        "verdicts": [verdict.document() for verdict in verdicts],
        "gates": {"digest": approved.digest, "source": approved.source},
        "judged_against": champion.model_id if champion is not None else None,
        "commit": commit,
    }


def _require_sound_ledger(project: Project) -> None:
    """A ledger that does not verify decides nothing."""
    raise_all(PromotionFrozen, ledger_check.check(Repository.at(project.root), project.environment.name))
