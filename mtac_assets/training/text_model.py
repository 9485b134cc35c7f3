"""From a sealed pack to a language model: its weights, checked against its golden rows. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from mtac_assets.spec.errors import Finding
from mtac_assets.training.errors import PackInvalid
from mtac_assets.training.models.registry import build_model
from mtac_assets.training.pack import WEIGHTS, Pack
from mtac_assets.training.tasks.language import next_token_loss
from mtac_assets.training.tokens import TokenSchema


@dataclass(frozen=True)
class TextModel:
    """A loaded model in evaluation mode, on the CPU, and what its tokens mean."""

    model: nn.Module
    schema: TokenSchema

    def losses(self, tokens_BT1: Tensor) -> Tensor:
        """Nats of each token but the first, float32 [B, T]."""
        with torch.inference_mode():
            return next_token_loss(self.model, tokens_BT1, "none")

    def greedy(self, prompt: Sequence[int], count: int) -> list[int]:
        """The likeliest token after `prompt`, and so on, `count` times or until the end of text. Sees the last T tokens."""
        tokens = list(prompt)
        with torch.inference_mode():
            for _ in range(count):
                window = torch.tensor([tokens[-self.schema.sequence_length :]])
                following = int(self.model(window)[0, -1].argmax())
                tokens.append(following)
                if following == self.schema.end_of_text:
                    break
        return tokens[len(prompt) :]


def load(pack_folder: Path, recipe_folder: Path) -> TextModel:
    """The language model of a sealed pack. Raises PackInvalid where the weights do not fit or answer the golden rows otherwise."""
    pack = Pack.open(pack_folder)
    document = pack.document("model")
    schema = TokenSchema.from_manifest(document["tokens"])
    model = build_model(document["kind"], document["settings"], schema, recipe_folder)
    try:
        model.load_state_dict(safetensors.torch.load_file(pack_folder / WEIGHTS))
    except (RuntimeError, safetensors.SafetensorError) as error:
        finding = Finding(
            f"the weights do not load: {error}", str(pack_folder), "this model's tensors", "fetch it again"
        )
        raise PackInvalid(finding) from error
    loaded = TextModel(model.eval(), schema)
    _require_golden(loaded, pack)
    return loaded


def _require_golden(loaded: TextModel, pack: Pack) -> None:
    golden = pack.document("golden")
    for number, row in enumerate(golden["rows"]):
        found = float(loaded.losses(torch.tensor([row["tokens"]])).mean())
        # A NaN is not within any tolerance.
        if not abs(found - row["loss"]) <= golden["tolerance"] * max(1.0, abs(row["loss"])):
            raise PackInvalid(
                Finding(
                    f"golden row {number} has a loss of {found:.6f}",
                    str(pack.folder / "golden.json"),
                    f"{row['loss']:.6f} ± {golden['tolerance']:g}",
                    "the weights, the code or the libraries are not those of the training; do not use this model",
                )
            )
