"""Which models are watched, and on which days: the champion by the ledger, and its challengers where the recipe wants a shadow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace
    from mtac_assets.provenance.refs import ModelSummary
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe


@dataclass(frozen=True)
class Watched:
    """A model that scores new days, with its own recipe. `status`: champion or challenger."""

    summary: ModelSummary
    resolved: ResolvedRecipe
    status: str

    @property
    def model_id(self) -> str:
        return self.summary.model_id

    def days(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Those of `keys` that it may be asked for: from its as-of date on, for it learned from those before."""
        first = self.resolved.as_of.isoformat() if self.resolved.as_of is not None else ""
        return tuple(sorted(key for key in keys if key >= first))


def champion(place: RecipePlace) -> Watched | None:
    """The recipe's champion in this environment; None where there is none yet."""
    found = watched_models(place, shadow=False)
    return found[0] if found else None


def watched_models(place: RecipePlace, *, shadow: bool) -> tuple[Watched, ...]:
    """The champion, then with `shadow` its challengers, newest first. Their packs must be here: raises MonitoringError."""
    from mtac_assets.monitoring.scorer import open_model
    from mtac_assets.provenance import refs

    project: Project = place.project
    wanted = ("champion", "challenger") if shadow else ("champion",)
    models = [model for model in refs.list_models(project, place.name) if model.status in wanted]
    models.sort(key=lambda model: wanted.index(model.status))
    return tuple(Watched(model, open_model(project, model.model_id).resolved, model.status) for model in models)
