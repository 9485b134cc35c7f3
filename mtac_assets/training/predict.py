"""From a sealed pack and a frame of features to probabilities. Nothing is unpickled; the golden rows are scored again at loading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors.torch
import torch
from torch import nn

from mtac_assets.data.training_set_schema import FeatureSchema, encode
from mtac_assets.spec.errors import Finding
from mtac_assets.training import validation
from mtac_assets.training.batches import Split
from mtac_assets.training.errors import PackInvalid
from mtac_assets.training.models.registry import build_model
from mtac_assets.training.pack import WEIGHTS, Pack

if TYPE_CHECKING:
    import pandas
    import pyarrow


class Predictor:
    """A loaded model. `predict` takes the feature view's columns by name, in any order, others beside them."""

    def __init__(self, model: nn.Module, schema: FeatureSchema) -> None:
        self.model = model.eval()
        self.schema = schema

    def predict(self, frame: pandas.DataFrame | pyarrow.Table) -> np.ndarray:
        """Probability of the positive class, float64 [N], in the frame's order. EncodingError names what does not fit."""
        return self.predict_arrays(*encode(frame, self.schema))

    def predict_arrays(self, numeric_NF: np.ndarray, categorical_NC: np.ndarray) -> np.ndarray:
        """The same from arrays in a training set's layout."""
        numeric, categorical = (
            np.ascontiguousarray(numeric_NF, np.float32),
            np.ascontiguousarray(categorical_NC, np.int32),
        )
        if not len(numeric):
            return np.empty(0)
        split = Split(torch.from_numpy(numeric), torch.from_numpy(categorical), torch.empty(len(numeric)))
        return validation.score(self.model, split)


def load(pack_folder: Path, recipe_folder: Path | None = None) -> Predictor:
    """The model of a sealed pack, checked against its golden rows. `recipe_folder` is needed for a model of the team's own.

    Raises PackInvalid where the weights are not those that were sealed, do not fit the network, or score the golden rows otherwise.
    """
    pack = Pack.open(pack_folder)
    document = pack.document("model")
    schema = FeatureSchema.from_manifest(document["features"])
    model = build_model(document["kind"], document["settings"], schema, recipe_folder or _recipe_folder(pack))
    try:
        model.load_state_dict(safetensors.torch.load_file(pack_folder / WEIGHTS))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise PackInvalid(
            Finding(
                f"the weights do not load: {error}",
                str(pack_folder / WEIGHTS),
                "this model's tensors",
                "fetch it again",
            )
        ) from error
    predictor = Predictor(model, schema)
    require_golden(predictor, pack)
    return predictor


def require_golden(predictor: Predictor, pack: Pack) -> None:
    """Score the pack's golden rows; PackInvalid where one differs by more than their tolerance."""
    import pandas

    document = pack.document("golden")
    rows = document["rows"]
    expected = np.array([row["score"] for row in rows])
    found = predictor.predict(pandas.DataFrame([row["features"] for row in rows]))
    worst = int(np.abs(found - expected).argmax())
    # A NaN is not within any tolerance.
    if not (np.abs(found - expected) <= document["tolerance"]).all():
        raise PackInvalid(
            Finding(
                f"golden row {worst} scores {found[worst]:.8f}",
                str(pack.folder / "golden.json"),
                f"{expected[worst]:.8f} ± {document['tolerance']:g}",
                "the weights, the code or the libraries are not those of the training; do not use this model",
            )
        )


def _recipe_folder(pack: Pack) -> Path:
    from mtac_assets.spec.project import find_project

    document = pack.document("recipe")
    return find_project().root / document["folder"] if ":" in document["model"]["kind"] else pack.folder
