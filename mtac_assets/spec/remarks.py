"""What is sound in a recipe and yet worth a word. Nothing here refuses anything."""

from __future__ import annotations

from dataclasses import dataclass

from mtac_assets.spec.recipe import Better, Recipe


@dataclass(frozen=True)
class Remark:
    where: str
    text: str

    def document(self) -> dict[str, str]:
        return {"where": self.where, "remark": self.text}


def remarks(recipe: Recipe) -> list[Remark]:
    """For a person to weigh, in the order of the recipe's sections."""
    comparisons: list[tuple[str, Better | None]] = [
        ("gates.champion", recipe.gates.champion),
        ("triggers.shadow", recipe.triggers.shadow),
    ]
    return [
        Remark(
            where,
            "takes the luck of a seed for a better model: more than one in five challengers that differ from the champion by "
            f"their seed alone passed on flights; `mtac seeds {recipe.name}` measures what to write as seed_deviation",
        )
        for where, found in comparisons
        if found is not None and not found.seed_deviation and not found.min_effect
    ]
