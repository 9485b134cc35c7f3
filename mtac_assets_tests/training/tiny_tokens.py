"""A tiny training set of tokens, as the data floor writes one, and the recipe of a tiny language model over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mtac_assets.data.mix.folder import array_name, rows_in

LENGTH, VOCABULARY, STEPS, BATCH = 16, 61, 12, 16
DOCUMENTS = {
    "train": {"prose": 120, "sums": 60},
    "validate": {"prose": 20, "sums": 10},
    "test": {"prose": 20, "sums": 10},
}

LANGUAGE_RECIPE: dict[str, Any] = {
    "schema_version": 1,
    "name": "tiny_lm",
    "mix": {
        "tokens": STEPS * BATCH * LENGTH,
        "sequence_length": LENGTH,
        "sources": {
            "prose": {"dataset": "prose", "kind": "real", "ratio": "3/4", "max_epochs": 9},
            "sums": {"dataset": "sums", "kind": "synthetic", "ratio": "1/4", "max_epochs": 9},
        },
    },
    "tokenizer": {"kind": "byte_bpe", "vocabulary_size": 300, "trained_on": ["prose"]},
    "split": {"validate_share": 0.1, "test_share": 0.1, "seed": 0},
    "model": {"kind": "gpt", "settings": {"layers": 2, "heads": 2, "width": 32, "dropout": 0.1}},
    "training": {
        "seed": 7,
        "batch_size": BATCH,
        "micro_batch_size": 2,
        "optimizer": "adamw",
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "gradient_clip": 0.5,
        "schedule": {"kind": "wsd", "warmup_share": 0.1, "decay_share": 0.3},
        "ema_decay": 0.9,
        "precision": "bfloat16",
        "device": "cpu",
        "threads": 1,
        "instruction_set": "avx2",
        "checkpoint_every_steps": 4,
    },
}


def write_token_set(folder: Path, seed: int = 3) -> Path:
    """Documents in which every token follows from the one before by a rule of their source, with some noise."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    sources: list[dict[str, Any]] = []
    for number, name in enumerate(("prose", "sums")):
        for part, counts in DOCUMENTS.items():
            documents = [_document(random, 3 + 4 * number) for _ in range(counts[name])]
            offsets = np.cumsum([0, *map(len, documents)])
            arrays = {
                "tokens": np.concatenate(documents).astype("<u2"),
                "documents": offsets.astype(np.int64),
                "bytes": np.array([3 * (len(one) - 1) for one in documents], dtype=np.int64),
            }
            for what, array in arrays.items():
                np.save(folder / array_name(part, name, what), array)
            if part == "train":
                rows = rows_in(int(offsets[-1]), LENGTH)
                sources.append({"name": name, "kind": "real", "rows": rows, "tokens": int(offsets[-1])})
    manifest = {
        "schema_version": 1,
        "kind": "tokens",
        "digest": f"{seed:064x}",
        "key": f"{seed:064x}",
        "sequence_length": LENGTH,
        "vocabulary_size": VOCABULARY,
        "end_of_text": 0,
        "tokenizer": {"digest": "7" * 64},
        "batch_size": BATCH,
        "steps": STEPS,
        "mix": {"stages": [{"from_step": 0, "weights": {"prose": 3, "sums": 1}}]},
        "sources": sources,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def _document(random: np.random.Generator, factor: int) -> np.ndarray:
    """Tokens 1 to VOCABULARY - 1, closed by 0."""
    tokens = [int(random.integers(1, VOCABULARY))]
    for _ in range(int(random.integers(20, 60))):
        noise = int(random.integers(0, 5)) == 0
        tokens.append(int(random.integers(1, VOCABULARY)) if noise else tokens[-1] * factor % (VOCABULARY - 1) + 1)
    return np.array([*tokens, 0])
