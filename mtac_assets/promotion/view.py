"""MLflow's registry as a view of the ledger: versions, aliases and tags follow it, and one moved by hand is noticed.

The ledger is written first; everything here may be repeated until MLflow agrees. A transition that MLflow has been told
of is marked on the version's tags with its sequence number. That tells a crash between ledger and alias (the mark is
missing: complete it) from an alias moved by hand (the mark is there: report, and restore or freeze).

Several processes decide at once, so one of them tells MLflow at a time, and nobody is accused by a ledger that has moved on since
it was read: what another process's decision moved was moved by no hand.
"""

from __future__ import annotations

from dataclasses import dataclass

from mtac_assets.promotion.errors import PromotionFrozen
from mtac_assets.promotion.told import remember_told_of
from mtac_assets.provenance import ledger
from mtac_assets.provenance.ledger import Entry, LedgerMoved
from mtac_assets.provenance.turns import turn
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project
from mtac_assets.tracking import registry
from mtac_assets.tracking.errors import Unreachable

CHAMPION = "champion"
CHALLENGER = "challenger"
ARCHIVED = "archived"
APPLIED_TAG = "mtac.ledger_sequence"
STATUS_TAG = "mtac.status"
TURN_SECONDS = 30.0  # some requests to MLflow


@dataclass(frozen=True)
class Moved:
    """An alias that does not point where the ledger says, although MLflow had been told."""

    recipe: str
    alias: str
    expected: str | None
    found: str | None

    def finding(self) -> Finding:
        return Finding(
            f"the alias {self.alias} of {self.recipe} was moved by hand to {self.found or 'nothing'}",
            f"MLflow, registered model {self.recipe}",
            f"{self.expected or 'no model'}, as the ledger says",
            f"`mtac promote` or `mtac rollback` move it with a record; `mtac history {self.recipe}` shows what was decided",
        )


def settle(project: Project, recipe: str) -> list[Moved]:
    """Make MLflow agree with the ledger about one recipe; returns the aliases that somebody had moved by hand.

    A hand-moved alias is recorded in the ledger and put back, or, where the environment says `freeze`, recorded and left,
    and PromotionFrozen is raised. Nothing is asked or told where the environment says `mlflow.deliver: false`. Raises tracking's
    Unreachable where MLflow does not answer, or another process is at it.
    """
    if not project.environment.mlflow.deliver:
        return []
    environment = project.environment.name
    with turn(project.state.locks / f"mlflow-{environment}-{recipe}.lock", TURN_SECONDS) as ours:
        if not ours:
            raise Unreachable(
                Finding(
                    f"another process has been telling MLflow of {recipe} for {TURN_SECONDS:g} s",
                    str(project.state.locks),
                    "one process at a time",
                    "nothing is lost: the next mtac command that writes tells it",
                )
            )
        while True:
            head = ledger.head(project, environment)
            try:
                moved = _settle(project, recipe, head)
            except LedgerMoved:
                continue
            if moved:
                return moved
            if ledger.head(project, environment) == head:  # else what was written meanwhile is told as well
                remember_told_of(project, recipe, head)
                return []


def _settle(project: Project, recipe: str, head: str) -> list[Moved]:
    """As `settle`, by the ledger up to `head`. Raises LedgerMoved where an alias would be called moved by hand, and it has moved on."""
    environment = project.environment.name
    entries = ledger.history(project, environment, recipe)
    champion = ledger.champion(entries, recipe)
    challenger = _challenger(entries)
    if champion is None and challenger is None:
        return []
    aliases = registry.aliases(project, recipe)
    moved: list[Moved] = []
    for alias, entry in ((CHAMPION, champion), (CHALLENGER, challenger)):
        expected = entry.model_id if entry is not None else None
        found = aliases.get(alias)
        if found == expected or (alias == CHALLENGER and _lags(project, recipe, entries, champion, found)):
            continue
        if entry is None or _applied(project, recipe, entry):
            moved.append(Moved(recipe, alias, expected, found))
    if moved:
        _record(project, moved, head)
        if project.environment.promotion.moved_alias == "freeze":
            raise PromotionFrozen(*(one.finding() for one in moved))
    wanted = {CHAMPION: champion, CHALLENGER: challenger}
    settled = all(
        aliases.get(alias) == (entry.model_id if entry is not None else None)
        and (entry is None or _applied(project, recipe, entry))
        for alias, entry in wanted.items()
    )
    if not settled:
        _apply(project, recipe, entries, champion, challenger)
    return moved


def _challenger(entries: list[Entry]) -> Entry | None:
    """The newest challenger that was neither promoted nor archived since."""
    statuses = ledger.statuses(entries)
    for entry in reversed(entries):
        if entry.kind == CHALLENGER and entry.model_id is not None and statuses.get(entry.model_id) == CHALLENGER:
            return entry
    return None


def _lags(project: Project, recipe: str, entries: list[Entry], champion: Entry | None, found: str | None) -> bool:
    """MLflow still calls a model challenger that a decision, of which it was not told yet, made something else."""
    ours = any(entry.kind == CHALLENGER and entry.model_id == found for entry in entries)
    return ours and champion is not None and not _applied(project, recipe, champion)


def _applied(project: Project, recipe: str, entry: Entry) -> bool:
    assert entry.model_id is not None
    tags = registry.version_tags(project, recipe, entry.model_id)
    return tags is not None and tags.get(APPLIED_TAG) == str(entry.sequence)


def _apply(
    project: Project, recipe: str, entries: list[Entry], champion: Entry | None, challenger: Entry | None
) -> None:
    """Versions first, then aliases, then the marks that say that all of it was done.

    Every model is told whose tag is not what the ledger says: several decisions may have been made while MLflow was away.
    """
    told = registry.all_tags(project, recipe)
    for model_id, status in ledger.statuses(entries).items():
        if told.get(model_id, {}).get(STATUS_TAG) != status:
            registry.register(project, recipe, model_id, {STATUS_TAG: status})
    for alias, entry in ((CHAMPION, champion), (CHALLENGER, challenger)):
        registry.set_alias(project, recipe, alias, entry.model_id if entry is not None else None)
    for entry in (champion, challenger):
        if entry is not None and entry.model_id is not None:
            registry.register(project, recipe, entry.model_id, {APPLIED_TAG: str(entry.sequence)})


def _record(project: Project, moved: list[Moved], head: str) -> None:
    """`head`: what was read before MLflow was asked. Raises LedgerMoved, and records nothing, where the ledger has moved on since."""
    for number, one in enumerate(moved):
        ledger.append(
            project,
            project.environment.name,
            kind="alias_moved",
            recipe=one.recipe,
            model_id=None,
            actor="unknown",
            reason=f"the alias {one.alias} was found on {one.found or 'nothing'}, not moved by a decision",
            evidence={
                "alias": one.alias,
                "expected": one.expected,
                "found": one.found,
                "action": project.environment.promotion.moved_alias,
            },
            expect=head if number == 0 else None,
        )
