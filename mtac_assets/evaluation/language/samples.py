"""What the model writes: greedy continuations of held-out documents, beside what really follows."""

from __future__ import annotations

from typing import Any

import numpy as np

from mtac_assets.data.mix.folder import TokenFolder
from mtac_assets.evaluation.language.suite import Tokens
from mtac_assets.training.text_model import TextModel

PROMPT, WRITTEN, EACH = 32, 48, 2


def greedy_samples(model: TextModel, folder: TokenFolder, tokenizer: Tokens) -> list[dict[str, Any]]:
    """EACH documents a source, evenly spread among those that are long enough: prompt, what the model wrote, what follows."""
    samples: list[dict[str, Any]] = []
    for source in folder.sources:
        tokens, offsets = folder.array("test", source, "tokens"), folder.array("test", source, "documents")
        long = np.flatnonzero(np.diff(offsets) > PROMPT + 1)
        if not len(long):
            continue
        for place in np.unique(np.linspace(0, len(long) - 1, EACH).astype(int)):
            start, end = (int(offset) for offset in offsets[long[place] : long[place] + 2])
            document = [int(token) for token in tokens[start : min(end, start + PROMPT + WRITTEN)]]
            written = model.greedy([model.schema.end_of_text, *document[:PROMPT]], WRITTEN)
            samples.append(
                {
                    "source": source,
                    "prompt": tokenizer.decode(document[:PROMPT]),
                    "written": tokenizer.decode(written),
                    "follows": tokenizer.decode(document[PROMPT:]),
                }
            )
    return samples
