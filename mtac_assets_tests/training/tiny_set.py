"""A tiny training set of rows, and the jobs that a real trainer process is given over it."""

from __future__ import annotations

import copy
import json
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mtac_assets.spec.shapes import recipe_model
from mtac_assets.training import flags

TRAINER = Path(__file__).with_name("tiny_trainer.py")
ROWS = {"train": 600, "validate": 200}

RECIPE: dict[str, Any] = {
    "schema_version": 1,
    "name": "tiny",
    "data": {"rows": "tiny_rows"},
    "split": {"validate_share": 0.2, "test_share": 0.2, "by": [], "seed": 1},
    "features": {"view": "features:view", "label": "features:label", "numeric": ["a", "b", "c"], "categorical": ["k"]},
    "model": {"kind": "tabular_ensemble", "settings": {"members": 3, "width": 16, "bins": 6}},
    "training": {
        "seed": 7,
        "epochs": 2,
        "batch_size": 64,
        "micro_batch_size": 32,
        "optimizer": "adamw",
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "gradient_clip": 1.0,
        "schedule": {"kind": "cosine", "warmup_share": 0.1},
        "ema_decay": 0.9,
        "precision": "float32",
        "device": "cpu",
        "threads": 1,
        "instruction_set": "avx2",
        "checkpoint_every_steps": 5,
    },
}
STEPS = 19  # ceil(600 * 2 / 64)


def write_training_set(folder: Path, seed: int = 3, missing: float = 0.1) -> Path:
    """Arrays in a training set's layout: a label that depends on all features, with some values missing."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for split, rows in ROWS.items():
        numeric = random.normal(size=(rows, 3)).astype(np.float32)
        category = random.integers(0, 4, size=(rows, 1), dtype=np.int32)
        logit = 2 * numeric[:, 0] - numeric[:, 1] ** 2 + category[:, 0] - 1
        label = (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float32)
        numeric[random.random(numeric.shape) < missing] = np.nan
        np.save(folder / f"{split}.numeric.npy", numeric)
        np.save(folder / f"{split}.categorical.npy", category)
        np.save(folder / f"{split}.label.npy", label)
        np.save(folder / f"{split}.day.npy", np.zeros(rows, np.int32))
    manifest = {
        "schema_version": 1,
        "digest": f"{seed:064x}",
        "key": f"{seed:064x}",
        "numeric": ["a", "b", "c"],
        "categorical": [{"name": "k", "vocabulary": ["x", "y", "z"]}],
        "splits": {split: {"rows": rows} for split, rows in ROWS.items()},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@dataclass(frozen=True)
class Job:
    """One trainer process to be. `changed(...)` gives another with some of it replaced."""

    out: Path
    training_set: Path
    folder: Path
    recipe: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(RECIPE))
    do: str = "train"
    run_id: str = "run"
    resume: bool = True
    data: dict[str, str] = field(default_factory=lambda: {"tiny_rows/all": "d" * 64})
    environment: dict[str, str] = field(default_factory=lambda: {"package.torch": "x"})
    more: dict[str, Any] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def changed(self, **changes: Any) -> Job:
        return replace(self, **changes)

    def training(self, **settings: Any) -> Job:
        return self.section("training", settings)

    def model(self, kind: str = "tabular_ensemble", **settings: Any) -> Job:
        return self.section("model", {"kind": kind, "settings": settings})

    def section(self, name: str, values: dict[str, Any]) -> Job:
        recipe = copy.deepcopy(self.recipe)
        recipe[name] |= values
        return self.changed(recipe=recipe)

    def command(self) -> list[str]:
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out.parent / f"{self.out.name}.job.json"
        names = ("out", "training_set", "folder", "recipe", "do", "run_id", "resume", "data", "environment")
        document = {name: getattr(self, name) for name in names} | self.more
        path.write_text(json.dumps(document, default=str))
        return [sys.executable, str(TRAINER), str(path)]

    def environment_variables(self, root: Path) -> dict[str, str]:
        """With the variables that the launcher sets, too: without them the trainer begins by starting itself again."""
        training = recipe_model(self.recipe).model_validate_json(json.dumps(self.recipe)).training
        return {**os.environ, "PYTHONPATH": str(root), **flags.variables(training), **self.variables}
