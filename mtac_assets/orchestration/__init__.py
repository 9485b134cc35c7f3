"""Dagster: the components that a `defs.yaml` names, and the definitions of a project. Thin: it calls the floors below."""

from mtac_assets.orchestration.project_definitions import project_definitions
from mtac_assets.orchestration.training_recipe import TrainingRecipe
from mtac_assets.orchestration.versioned_dataset import VersionedDataset

__all__ = ["TrainingRecipe", "VersionedDataset", "project_definitions"]
