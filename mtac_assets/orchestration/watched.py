"""Which models score new days, and which days: the champion, challengers in their shadow, and the champion's predecessor while
the two are compared. The ledger says which these are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtac_assets.provenance import ledger

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.provenance.refs import ModelSummary
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

CHAMPION = "champion"


@dataclass(frozen=True)
class Watched:
    """A model that scores new days, with its own recipe. `status`: champion, challenger or predecessor; `live_from`: the first day
    that is of interest."""

    summary: ModelSummary
    resolved: ResolvedRecipe
    status: str
    live_from: str = ""

    @property
    def model_id(self) -> str:
        return self.summary.model_id

    def days(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Those of `keys` that it may be asked for: never days before its as-of date, for it learned from them."""
        as_of = self.resolved.as_of.isoformat() if self.resolved.as_of is not None else ""
        first = max(as_of, self.live_from)
        return tuple(sorted(key for key in keys if key >= first))


def champion(place: RecipePlace) -> Watched | None:
    """The recipe's champion in this environment; None where there is none yet."""
    project = place.project
    serving = ledger.champion_at(project, project.environment.name, place.name)
    return None if serving is None or serving.model_id is None else _watched(project, serving.model_id, CHAMPION)


def watched_models(place: RecipePlace) -> tuple[Watched, ...]:
    """The champion, its predecessor while it is on probation, challengers in their shadow in the order in which they entered it;
    none without a champion. Their packs must be here: raises MonitoringError."""
    from mtac_assets.promotion import under_way

    project = place.project
    all_entries = ledger.entries(project, project.environment.name)
    statuses = ledger.statuses(all_entries)
    entries = [entry for entry in all_entries if entry.recipe == place.name]
    serving = ledger.champion(entries, place.name)
    if serving is None or serving.model_id is None:
        return ()
    found = {serving.model_id: _watched(project, serving.model_id, CHAMPION, statuses)}
    rollback, probation = place.recipe.triggers.rollback, under_way.probation(entries, place.name)
    if rollback is not None and probation is not None and probation.looks < rollback.looks:
        former = probation.predecessor
        found[former] = _watched(project, former, "predecessor", statuses, probation.live_from)
    for each in under_way.shadows(entries):
        if each.model_id not in found:  # a predecessor that is to be promoted again is of interest for longer
            found[each.model_id] = _watched(project, each.model_id, "challenger", statuses, each.live_from)
    return tuple(found.values())


def _watched(
    project: Project, model_id: str, status: str, statuses: Mapping[str, str] | None = None, live_from: str = ""
) -> Watched:
    from mtac_assets.monitoring.scorer import open_model
    from mtac_assets.provenance import refs

    return Watched(
        refs.find_model(project, model_id, statuses), open_model(project, model_id).resolved, status, live_from
    )
