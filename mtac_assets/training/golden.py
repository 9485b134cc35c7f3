"""Golden rows: a few rows with the scores that the trainer saw, kept in the pack, so that whoever loads the model can check itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from mtac_assets.data.training_set_schema import FeatureSchema
from mtac_assets.training import validation
from mtac_assets.training.batches import Split

ROWS = 8
TOLERANCE = 1e-5
"""Largest difference of a probability: another machine may round otherwise, another model or encoding differs by far more."""


def golden(model: nn.Module, schema: FeatureSchema, split: Split) -> dict[str, Any]:
    """Rows spread evenly over `split`, as feature values by name (None = missing), with their scores."""
    places = np.unique(np.linspace(0, len(split) - 1, ROWS).astype(int))
    scores = validation.score(model, split)
    rows = []
    for place in places:
        numeric = split.numeric[place].numpy()
        row: dict[str, Any] = {
            name: None if np.isnan(value) else float(value) for name, value in zip(schema.numeric, numeric, strict=True)
        }
        for position, name in enumerate(schema.categorical):
            index = int(split.categorical[place, position])
            row[name] = schema.vocabularies[position][index - 1] if index else None
        rows.append({"features": row, "score": float(scores[place])})
    return {"schema_version": 1, "tolerance": TOLERANCE, "rows": rows}
