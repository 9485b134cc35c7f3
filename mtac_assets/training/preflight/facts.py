"""What the checks look at: the recipe, the network it asks for, workers, device, and what the training set says where there is one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from mtac_assets.spec.environment import Environment
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project
from mtac_assets.spec.recipe import Recipe, Training
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.errors import TrainingRefused
from mtac_assets.training.preflight.devices import NAMES, Device, device_of
from mtac_assets.training.preflight.memory import Memory, estimate
from mtac_assets.training.tokens import TokenSchema
from mtac_assets.training.unshardable import unshardable


@dataclass(frozen=True)
class Facts:
    """`network` None: the settings make none (`network_problems` says why) or it is not built in; then `parameters` and `memory` are None.

    `steps` None: only a training set could say. `manifest` is the training set's, where one was built.
    """

    recipe: Recipe
    environment: Environment
    workers: int
    device: Device
    schema: TokenSchema | None
    settings: Mapping[str, Any]
    network_problems: tuple[tuple[str, object, str], ...]
    parameters: int | None
    memory: Memory | None
    flops_per_token: int | None
    steps: int | None
    manifest: Mapping[str, Any] | None
    free_disk: int
    cores: int

    @property
    def workers_here(self) -> int | None:
        """Workers that share this machine; None where a cluster places them on machines that are not known here."""
        return None if self.environment.launcher.kind == "ray" else self.workers

    @property
    def sharded(self) -> bool:
        """Whether no worker holds all weights."""
        return self.environment.launcher.sharded and self.workers > 1

    @property
    def training(self) -> Training:
        return self.recipe.training

    @property
    def micro_batches(self) -> int:
        return self.training.batch_size // self.training.micro_batch_size


def facts_of(
    project: Project,
    resolved: ResolvedRecipe,
    *,
    workers: int,
    device: str | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Facts:
    """Imports torch where the recipe is a language model's. `device` None: what the recipe trains on in this environment.

    TrainingRefused for a device that nobody knows, or where nothing says on which GPU.
    """
    import os

    recipe = resolved.recipe
    found = _device(device, recipe.training, project.environment)
    schema, steps = _language(resolved, manifest)
    problems: tuple[tuple[str, object, str], ...] = ()
    parameters = memory = flops = None
    if schema is not None and recipe.model.kind == "gpt":
        from mtac_assets.training.models import gpt

        problems = _misnamed(gpt.Settings, recipe.model.settings)
        settings = None
        if not problems:
            try:
                settings = gpt.Settings(**recipe.model.settings)  # pyright: ignore[reportArgumentType]
            except gpt.SettingsError as error:
                problems = tuple(error.problems)
        if settings is not None:
            parameters = gpt.parameter_count(schema, recipe.model.settings)
            flops = gpt.flops_per_token(parameters, settings, schema.sequence_length)
            if _shareable(recipe.training, workers):
                sharded = project.environment.launcher.sharded and workers > 1 and not unshardable(recipe.training)
                memory = estimate(schema, recipe.model.settings, recipe.training, workers, sharded=sharded)
    at = project.state.models
    while not at.exists():
        at = at.parent
    return Facts(
        recipe,
        project.environment,
        workers,
        found,
        schema,
        recipe.model.settings,
        problems,
        parameters,
        memory,
        flops,
        steps,
        manifest,
        shutil.disk_usage(at).free,
        os.cpu_count() or 1,
    )


def _language(resolved: ResolvedRecipe, manifest: Mapping[str, Any] | None) -> tuple[TokenSchema | None, int | None]:
    if not resolved.is_language:
        return None, None
    recipe = resolved.language
    length, wanted = recipe.mix.sequence_length, recipe.mix.tokens
    if manifest is not None:
        return TokenSchema.from_manifest(manifest), manifest["steps"]
    steps = -(-wanted // (length * recipe.training.batch_size))
    return TokenSchema(recipe.tokenizer.vocabulary_size, length, 0, {}), steps


def _misnamed(settings: type, given: Mapping[str, object]) -> tuple[tuple[str, object, str], ...]:
    """Settings that are missing, and those that nobody knows, as `gpt.SettingsError` tells of values."""
    known = {field.name: field for field in fields(settings)}
    missing = [name for name, field in known.items() if field.default is MISSING and name not in given]
    unknown = [name for name in given if name not in known]
    return (
        *((name, "missing", "a value: it has no default") for name in missing),
        *((name, given[name], f"one of {', '.join(known)}") for name in unknown),
    )


def _shareable(training: Training, workers: int) -> bool:
    micro_batches, rest = divmod(training.batch_size, training.micro_batch_size)
    power = micro_batches > 0 and not rest and micro_batches & (micro_batches - 1) == 0
    return power and workers & (workers - 1) == 0 and micro_batches % workers == 0


def _device(name: str | None, training: Training, environment: Environment) -> Device:
    where = "--device"
    if name is None and training.device == "cpu":
        name = "cpu"
    elif name is None:
        name, where = environment.launcher.gpu, f"launcher.gpu of the environment {environment.name}"
    found = None if name is None else device_of(name, training.threads)
    if found is None:
        raise TrainingRefused(
            Finding(
                f"no device is called `{name}`" if name else "the recipe trains on a GPU, and nothing says on which",
                where,
                f"one of: {', '.join(NAMES)}",
                "name one of them",
            )
        )
    return found
