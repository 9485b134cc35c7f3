"""From `model.kind` to a network: a built-in one by name, or `module:function` of the recipe's folder."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from mtac_assets.spec.errors import Finding
from mtac_assets.training.errors import TrainingRefused
from mtac_assets.training.feature_schema import FeatureSchema
from mtac_assets.training.models import tabular_ensemble

Build = Callable[[FeatureSchema, dict[str, Any]], nn.Module]

BUILT_IN: dict[str, Build] = {"tabular_ensemble": tabular_ensemble.build}


def build_model(kind: str, settings: dict[str, Any], schema: FeatureSchema, folder: Path) -> nn.Module:
    """The network, its parameters drawn from torch's current stream, its constants not fitted yet.

    `folder` is the recipe's: where `module:function` is looked up. Raises TrainingRefused where the kind or a setting is not known.
    """
    function = BUILT_IN[kind] if kind in BUILT_IN else _own(kind, folder)
    try:
        model = function(schema, dict(settings))
    except (TypeError, ValueError) as error:
        raise TrainingRefused(
            Finding(
                f"the model {kind} does not take these settings: {error}",
                "model.settings",
                f"what {kind} takes: see its docstring",
                "correct or remove the setting",
            )
        ) from error
    if not isinstance(model, nn.Module):
        raise TrainingRefused(
            Finding(
                f"{kind} gave {type(model).__name__}", "model.kind", "a torch.nn.Module", "return the network itself"
            )
        )
    return model


def _own(kind: str, folder: Path) -> Build:
    name, _, function = kind.partition(":")
    path = folder.joinpath(*name.split(".")).with_suffix(".py")
    module = sys.modules.get(f"{folder.name}.{name}")
    if module is None:
        specification = importlib.util.spec_from_file_location(f"{folder.name}.{name}", path)
        if specification is None or specification.loader is None or not path.is_file():
            raise TrainingRefused(
                Finding(f"there is no {path.name}", "model.kind", f"a file in {folder.name}/", "correct the name")
            )
        module = importlib.util.module_from_spec(specification)
        sys.modules[specification.name] = module
        specification.loader.exec_module(module)
    if not hasattr(module, function):
        raise TrainingRefused(
            Finding(
                f"{path.name} has no {function}",
                "model.kind",
                f"a function {function}(schema, settings)",
                "correct the name",
            )
        )
    return getattr(module, function)
