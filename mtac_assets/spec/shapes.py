"""The two shapes of a recipe: which one a document is of, its model, its rules, and what is said of fields of the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mtac_assets.spec.checks import Check
from mtac_assets.spec.errors import Finding

if TYPE_CHECKING:
    from mtac_assets.spec.recipe import Recipe
    from mtac_assets.spec.validate import Placed


def is_language(data: Any) -> bool:
    """Do these fields make a recipe of texts? Asked of data as it was written, so it need not be valid."""
    return isinstance(data, dict) and "mix" in data


def recipe_model(data: Any) -> type[Recipe]:
    """The model that holds these fields."""
    if is_language(data):
        from mtac_assets.spec.language import LanguageRecipe

        return LanguageRecipe
    from mtac_assets.spec.recipe import Recipe

    return Recipe


def datasets_of(recipe: Recipe) -> tuple[str, ...]:
    """The datasets that a recipe reads, each once: the rows, then the lookups; of a recipe of texts those of its mix."""
    from mtac_assets.spec.language import LanguageRecipe

    if isinstance(recipe, LanguageRecipe):
        return tuple(sorted({source.dataset for source in recipe.mix.sources.values()}))
    return tuple(dict.fromkeys((recipe.data.rows, *recipe.data.lookups)))


def checks_of(model: type[Recipe]) -> Sequence[Check]:
    """The rules between the fields of that shape (or of a stored form of it)."""
    from mtac_assets.spec import language_checks, recipe_checks
    from mtac_assets.spec.language import LanguageRecipe

    return language_checks.CHECKS if issubclass(model, LanguageRecipe) else recipe_checks.CHECKS


def of_other_shape(document: Placed, findings: Iterable[Finding]) -> list[Finding]:
    """`findings`, where a field that only the other shape has is told from one that nobody knows."""
    from mtac_assets.spec.language import LanguageRecipe
    from mtac_assets.spec.recipe import Recipe

    if not is_language(document.data):
        return list(findings)
    foreign = [
        name for name in Recipe.model_fields if name not in LanguageRecipe.model_fields and name in document.data
    ]
    told = {f"unknown key `{name}`": name for name in foreign}
    result: list[Finding] = []
    for finding in findings:
        name = told.get(finding.error)
        if name is not None:
            error = f"`{name}` belongs to a recipe of rows, but this one has a `mix`"
            expected = "either `mix` and `tokenizer` (texts), or `data` and `features` (rows)"
            finding = Finding(error, finding.where, expected, f"remove `{name}:`, or `mix:`")
        result.append(finding)
    return result
