"""A small project of a team's own, in a temporary folder: daily CSV files, one dataset, one recipe; nothing of the demo."""

from __future__ import annotations

import csv
import random
import secrets
import subprocess
from datetime import date, timedelta
from pathlib import Path

from mtac_assets.spec.project import Project, find_project

FIRST_DAY = date(2024, 1, 1)
DAYS = 14
ROWS = 120

PYPROJECT = """
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "{package}"
registry_modules = ["mtac_assets.orchestration"]
code_location_target_module = "{package}.definitions"
"""

DEFINITIONS = """
from pathlib import Path
import dagster as dg
from mtac_assets.orchestration import project_definitions

@dg.definitions
def defs() -> dg.Definitions:
    return project_definitions(Path(__file__).parent)
"""

DATASET = """
schema_version: 1
name: tides
description: Hourly readings of a gauge.
owner: team:coast
source: {kind: files, url: incoming, pattern: "tides-{date}.csv", format: csv}
partitions: {kind: daily, date: day, start: 2024-01-01, end: 2024-01-14}
key: [reading]
event_time: asked_at
outcome_columns: [flooded]
contract:
  schema: contract:schema
  max_quarantined: 0.05
  rows: {min: 50, max: 500}
"""

CONTRACT = """
import pandera.pandas as pa

schema = pa.DataFrameSchema(
    {
        "reading": pa.Column("int64"),
        "day": pa.Column("datetime64[us]"),
        "asked_at": pa.Column("datetime64[us, UTC]"),
        "level": pa.Column("float64", pa.Check.in_range(0, 10)),
        "gauge": pa.Column("category", pa.Check.isin(["north", "south", "west"])),
        "flooded": pa.Column("int8", pa.Check.isin([0, 1])),
    },
    strict=True,
)
"""

RECIPE = """
schema_version: 1
name: floods
description: Will the gauge flood?
owner: team:coast
data: {rows: tides}
window: {train_days: 5, validate_days: 1, test_days: 2, history_days: 1}
features:
  view: features:view
  label: features:flooded
  numeric: [level]
  categorical: [gauge]
  slices: [gauge]
model: {kind: tabular_ensemble, settings: {}}
training:
  seed: 7
  epochs: 1
  batch_size: 64
  micro_batch_size: 64
  optimizer: adamw
  learning_rate: 1e-2
  precision: float32
  device: cpu
  threads: 1
  checkpoint_every_steps: 3
evaluation:
  bootstrap: {unit: day, resamples: 100, confidence: 0.95, seed: 1}
  baselines: [base_rate, logistic_regression]
  min_slice_rows: 20
gates:
  baseline: {name: base_rate, metric: log_loss}
triggers:
  schedule: {cron: "0 4 * * *", timezone: Europe/Berlin}
"""

ENVIRONMENT = """
schema_version: 1
name: local
state: .mtac
limits: {run_seconds: 600, concurrent_trainings: 1}
promotion: {branches: ["*"], require_clean: false, require_approval: false}
"""


FEATURES = """
import pandas as pd

def view(rows, past, lookups):
    return rows[["level", "gauge"]]

def flooded(rows):
    return rows["flooded"].astype("float32")
"""


def write_day(project_root: Path, day: date, *, level_factor: float = 1.0) -> Path:
    """One day's file: the level, and a flood that follows from it with noise."""
    rng = random.Random(day.toordinal())
    path = project_root / "incoming" / f"tides-{day}.csv"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["reading", "day", "asked_at", "level", "gauge", "flooded"])
        for index in range(ROWS):
            level = rng.random() * 10
            flooded = int(level + rng.gauss(0, 2) > 6)
            asked = f"{day}T{index % 24:02d}:00:00+00:00"
            gauge = rng.choice(["north", "south", "west"])
            row = [day.toordinal() * 1000 + index, day.isoformat(), asked, level * level_factor, gauge, flooded]
            writer.writerow(row)
    return path


def make_project(folder: Path) -> Project:
    """The project under `folder`, in a Git repository, with a package name that no other test has imported."""
    package = f"coast_{secrets.token_hex(4)}"
    home = folder / package
    for name, files in {
        "": {"__init__.py": "", "definitions.py": DEFINITIONS},
        "environments": {"local.yaml": ENVIRONMENT},
        "defs": {"__init__.py": ""},
        "defs/tides": {
            "dataset.yaml": DATASET,
            "contract.py": CONTRACT,
            "defs.yaml": "type: mtac_assets.orchestration.VersionedDataset\n",
        },
        "defs/floods": {
            "recipe.yaml": RECIPE,
            "features.py": FEATURES,
            "defs.yaml": "type: mtac_assets.orchestration.TrainingRecipe\n",
        },
    }.items():
        (home / name).mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (home / name / file).write_text(content.lstrip("\n"))
    (folder / "pyproject.toml").write_text(PYPROJECT.format(package=package))
    (folder / ".gitignore").write_text(".mtac/\n__pycache__/\n")
    for offset in range(DAYS):
        write_day(folder, FIRST_DAY + timedelta(days=offset))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run([*git, "init", "-q"], cwd=folder, check=True)
    subprocess.run([*git, "add", "."], cwd=folder, check=True)
    subprocess.run([*git, "commit", "-q", "-m", "start"], cwd=folder, check=True)
    return find_project(folder)
