"""A team's own project without time: one CSV, one recipe, a model of the team's own beside the built-in one."""

from __future__ import annotations

import random
import secrets
from pathlib import Path

FILES = {
    "pyproject.toml": """
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "{package}"
""",
    "{package}/__init__.py": "",
    "{package}/environments/local.yaml": """
schema_version: 1
name: local
state: .mtac
limits: {{run_seconds: 120, concurrent_trainings: 1}}
promotion: {{branches: ["*"], require_clean: false, require_approval: false}}
""",
    "{package}/defs/shoes/dataset.yaml": """
schema_version: 1
name: shoes
description: Feet and whether the shoe fitted.
source: {{kind: files, url: incoming, pattern: "shoes.csv", format: csv}}
partitions: {{kind: none}}
key: [id]
outcome_columns: [fits]
contract:
  schema: contract:schema
  max_quarantined: 0.0
  rows: {{min: 10, max: 5000}}
""",
    "{package}/defs/shoes/contract.py": """
import pandera.pandas as pa

schema = pa.DataFrameSchema(
    {{
        "id": pa.Column("int64"),
        "length": pa.Column("float64"),
        "make": pa.Column("category", pa.Check.isin(["a", "b"])),
        "fits": pa.Column("int8", pa.Check.isin([0, 1])),
    }},
    strict=True,
)
""",
    "{package}/defs/fit/recipe.yaml": """
schema_version: 1
name: fit
description: Will the shoe fit?
data: {{rows: shoes}}
split: {{validate_share: 0.2, test_share: 0.2, by: [id], seed: 1}}
features:
  view: features:view
  label: features:fits
  numeric: [length]
  categorical: [make]
model: {{kind: tabular_ensemble, settings: {{members: 2, width: 8}}}}
training:
  seed: 7
  epochs: 3
  batch_size: 32
  micro_batch_size: 32
  optimizer: adamw
  learning_rate: 1e-2
  precision: float32
  device: cpu
  threads: 1
  checkpoint_every_steps: 10
evaluation: {{bootstrap: {{unit: row}}}}
""",
    "{package}/defs/fit/features.py": """
import os
import signal
import time


def view(rows, past, lookups):
    return rows[["length", "make"]]


def fits(rows):
    return rows["fits"].astype("float32")
""",
    "{package}/defs/fit/own.py": """
import os
import signal
import time

import torch
from torch import nn


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.from_numpy(__import__("numpy").frombuffer(os.urandom(4), dtype="u4") / 1e15).float()


class Own(nn.Module):
    def __init__(self, settings):
        super().__init__()
        self.first = nn.Linear(1, 4)
        self.noise = Noise() if settings.get("noise") else nn.Identity()
        self.last = nn.Linear(4, 1)
        self.settings = settings

    def forward(self, numeric, categorical):
        match self.settings.get("fault"):
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(600)
            case "memory":
                torch.empty(2**50)
        return self.last(self.noise(torch.relu(self.first(numeric))))[:, 0]


def build(schema, settings):
    return Own(settings)
""",
}


def write(folder: Path) -> Path:
    package = f"shop_{secrets.token_hex(4)}"
    for name, content in FILES.items():
        path = folder / name.format(package=package)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.format(package=package).lstrip("\n"))
    draw = random.Random(5)
    lines = ["id,length,make,fits"]
    for number in range(400):
        length, make = draw.uniform(20, 30), draw.choice("ab")
        lines.append(f"{number},{length},{make},{int(length + draw.gauss(0, 1) > (24 if make == 'a' else 26))}")
    (folder / "incoming").mkdir()
    (folder / "incoming" / "shoes.csv").write_text("\n".join(lines) + "\n")
    return folder
