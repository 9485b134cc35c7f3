"""Which recorded model a step is about. Git's references answer, not Dagster's database: that one may be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtac_assets.spec.errors import CheckFailed, Finding

if TYPE_CHECKING:
    from mtac_assets.orchestration.place import RecipePlace


def recorded_model(place: RecipePlace, as_of: str | None, model_id: str | None) -> str:
    """The model that `model_id` means, which must be one of the recipe and date; without one, the newest of that date.

    Raises UnknownModelError; CheckFailed where there is no such model.
    """
    from mtac_assets.provenance import refs

    project = place.project
    named = refs.resolve_id(project, model_id) if model_id else None
    of_date = [model for model in refs.list_models(project, place.name) if model.as_of == as_of]
    found = next((model.model_id for model in of_date if named in (None, model.model_id)), None)
    if found is None:
        wanted = f"{place.name} as of {as_of}" if as_of is not None else place.name
        raise CheckFailed(
            Finding(
                f"{named} is no model of {wanted}" if named else f"no model of {wanted} is recorded",
                place.key("model").to_user_string(),
                f"a commit of a model of {wanted} under refs/mtac/models",
                "choose the model's own date" if named else "materialize the model and its report for that date first",
            )
        )
    return found
