"""From `model.kind` to a network: a built-in one by name, or `module:function` of the recipe's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from mtac_assets.data.features_view import load_function
from mtac_assets.data.training_set_schema import FeatureSchema
from mtac_assets.spec.errors import Finding
from mtac_assets.training.errors import TrainingRefused
from mtac_assets.training.models import gpt, tabular_ensemble
from mtac_assets.training.tokens import TokenSchema

Build = Callable[[Any, dict[str, Any]], nn.Module]

BUILT_IN: dict[str, Build] = {"tabular_ensemble": tabular_ensemble.build, "gpt": gpt.build}


def build_model(kind: str, settings: dict[str, Any], schema: FeatureSchema | TokenSchema, folder: Path) -> nn.Module:
    """The network, its parameters drawn from torch's current stream, its constants not fitted yet.

    `folder` is the recipe's: where `module:function` is looked up. Raises FeatureError where there is no such function,
    TrainingRefused where a setting is not known.
    """
    function = BUILT_IN[kind] if kind in BUILT_IN else load_function(folder, kind, "model.kind")
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
