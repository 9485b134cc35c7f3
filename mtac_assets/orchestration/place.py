"""Where a component stands: its project, its folder, and the documents beside its `defs.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mtac_assets.orchestration.partitions import as_of_partitions
from mtac_assets.spec.load import check_recipe, load_dataset, load_recipe
from mtac_assets.spec.project import Project, find_project
from mtac_assets.spec.shapes import datasets_of

if TYPE_CHECKING:
    from mtac_assets.orchestration.settings import RunSettings
    from mtac_assets.spec.dataset import Dataset
    from mtac_assets.spec.recipe import Recipe
    from mtac_assets.spec.resolved import ResolvedRecipe


@dataclass(frozen=True)
class DatasetPlace:
    """A dataset as the code location loaded it."""

    project: Project
    folder: Path
    dataset: Dataset

    @property
    def key(self) -> dg.AssetKey:
        return dg.AssetKey([self.dataset.name])


@dataclass(frozen=True)
class RecipePlace:
    """A recipe as the code location loaded it, with the datasets it reads."""

    project: Project
    folder: Path
    recipe: Recipe
    datasets: tuple[Dataset, ...]

    @property
    def rows(self) -> Dataset:
        """The dataset of which each row is one example (of a recipe of texts, the first of its datasets)."""
        return self.datasets[0]

    @property
    def is_language(self) -> bool:
        """Is it a recipe of texts?"""
        from mtac_assets.spec.language import LanguageRecipe

        return isinstance(self.recipe, LanguageRecipe)

    @property
    def name(self) -> str:
        return self.recipe.name

    def key(self, asset: str) -> dg.AssetKey:
        return dg.AssetKey([self.name, asset])

    def resolve(self, settings: RunSettings, as_of: str | None) -> ResolvedRecipe:
        """The recipe as it is on disk now, for one run: the file is read again, so that an edit needs no reload."""
        moment = date.fromisoformat(as_of) if as_of is not None else None
        return load_recipe(self.project, self.folder / "recipe.yaml", tuple(settings.overrides), moment)

    def resolve_for_features(self, settings: RunSettings) -> ResolvedRecipe:
        """The recipe for computing features, which depend on their day and on no as-of date: any feasible one serves."""
        window = self.recipe.window
        return self.resolve(settings, as_of_partitions(window, self.rows).get_first_partition_key() if window else None)


def dataset_place(folder: Path) -> DatasetPlace:
    project = find_project(folder)
    return DatasetPlace(project, folder, load_dataset(project, folder / "dataset.yaml"))


def recipe_place(folder: Path) -> RecipePlace:
    project = find_project(folder)
    recipe = check_recipe(project, folder / "recipe.yaml")
    datasets = tuple(load_dataset(project, name) for name in datasets_of(recipe))
    return RecipePlace(project, folder, recipe, datasets)
