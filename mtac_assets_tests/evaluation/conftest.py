"""Rows with the shape of the real ones: days that differ, categories, missing numbers, a label that the features half explain."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtac_assets.data.ingest import ingest
from mtac_assets.evaluation.assess import HeldOut, assess
from mtac_assets.evaluation.baselines import Rows, fit_and_score
from mtac_assets.spec.load import load_dataset, load_recipe
from mtac_assets.spec.project import Project, find_project
from mtac_assets.spec.recipe import Bootstrap, Evaluation
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.launch import train


@dataclass(frozen=True, eq=False)
class World:
    """One simulated world: `rows(days, seed)` draws its days anew."""

    vocabulary: int = 7

    def rows(self, days: int, rows_a_day: int, seed: int) -> tuple[Rows, np.ndarray, np.ndarray]:
        """Model input, labels and day index of `days` days; the day's own effect is not among the features."""
        rng = np.random.default_rng(seed)
        day = np.repeat(np.arange(days), rows_a_day)
        numeric = rng.normal(size=(len(day), 3)).astype(np.float32)
        categorical = rng.integers(0, self.vocabulary, size=(len(day), 2), dtype=np.int32)
        logit = -1 + numeric[:, 0] - 0.5 * numeric[:, 1] ** 2 + 0.3 * categorical[:, 0] / self.vocabulary
        labels = rng.random(len(day)) < 1 / (1 + np.exp(-logit - rng.normal(0, 0.5, days)[day]))
        numeric[rng.random(len(day)) < 0.1, 2] = np.nan
        return Rows(numeric, categorical, (self.vocabulary,) * 2), labels.astype(np.float32), day


@pytest.fixture(scope="session")
def world() -> World:
    return World()


@pytest.fixture(scope="session")
def evaluation() -> Evaluation:
    return Evaluation(bootstrap=Bootstrap(resamples=200, seed=3), min_slice_rows=150)


@pytest.fixture(scope="session")
def held_out(world: World) -> tuple[Rows, HeldOut]:
    """Ten days in June, a slice column with a small value, one of a single class, and missing ones."""
    rows, labels, day = world.rows(10, 120, seed=2)
    days = (np.datetime64("2013-06-01") + day).astype(str)
    airport = np.array(["EWR", "JFK", "LGA"], dtype=object)[rows.categorical[:, 0] % 3]
    airport[:40] = "SWF"
    airport[40:60] = None
    airport[np.flatnonzero(labels == 1)[-5:]] = "ISP"
    return rows, HeldOut(labels, days, {"airport": airport})


@pytest.fixture(scope="session")
def scores(world: World, held_out: tuple[Rows, HeldOut]) -> dict[str, np.ndarray]:
    """Real models, trained on other days of the same world."""
    train, labels, _ = world.rows(20, 120, seed=1)
    names = ("base_rate", "logistic_regression", "hist_gradient_boosting")
    return {name: fit_and_score(name, train, labels, held_out[0], 0) for name in names}


@pytest.fixture(scope="session")
def report(held_out: tuple[Rows, HeldOut], scores: dict[str, np.ndarray], evaluation: Evaluation) -> dict[str, Any]:
    """A complete report document: the mean of two baselines as the model, logistic regression as the champion."""
    _, test = held_out
    model = (scores["hist_gradient_boosting"] + scores["logistic_regression"]) / 2
    document = assess(test, model, scores, scores["logistic_regression"], evaluation)
    document["comparison"] = {
        "champion": {"model_id": "delays-0123456789ab", "weights_digest": "cd" * 32},
        "metrics": document["comparison"],
    }
    assert test.days is not None
    part = {
        "days": sorted(set(test.days.tolist())),
        "rows": 1200,
        "positives": int(test.labels.sum()),
        "excluded_unlabelled": 3,
        "digest": "ab" * 32,
    }
    return document | {
        "schema_version": 1,
        "key": "ef" * 32,
        "model_id": "delays-ba9876543210",
        "recipe": "delays",
        "description": "Late <or> not?",
        "owner": "team:flights",
        "as_of": "2013-06-01",
        "fingerprint": "01" * 32,
        "weights_digest": "23" * 32,
        "created_at": "2013-07-01T00:00:00.000+00:00",
        "code_commit": None,
        "train": part,
        "validate": part,
        "test": part,
        "overlap_rows": 0,
        "environment": {"python": "CPython 3.11.2", "torch": "2.13.0"},
        "seconds": {"metrics": 1.0},
        "recipe_document": {"name": "delays", "training": {"seed": 1}, "overrides": []},
    }


DATASET = """
schema_version: 1
name: tides
source: {kind: files, url: incoming, pattern: "tides-{date}.csv", format: csv}
partitions: {kind: daily, date: day, start: 2024-01-01, end: 2024-01-16}
key: [reading]
event_time: asked_at
outcome_columns: [flooded]
contract: {schema: "contract:schema", max_quarantined: 0.05, rows: {min: 50, max: 500}, null_rates: {flooded: 0.5}}
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
        "flooded": pa.Column("Int8", pa.Check.isin([0, 1]), nullable=True),
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
window: {train_days: 6, validate_days: 2, test_days: 6, history_days: 1}
features: {view: "features:view", label: "features:flooded", numeric: [level], categorical: [gauge], slices: [gauge]}
model: {kind: tabular_ensemble, settings: {members: 2, width: 8, bins: 4}}
training:
  {seed: 7, epochs: 1, batch_size: 64, micro_batch_size: 64, optimizer: adamw, learning_rate: 1e-2, precision: float32,
   device: cpu, threads: 1, checkpoint_every_steps: 20}
evaluation:
  bootstrap: {unit: day, resamples: 100, seed: 1}
  baselines: [base_rate, logistic_regression]
  min_slice_rows: 150
"""
FEATURES = """
def view(rows, past, lookups):
    return rows[{columns}]

def flooded(rows):
    return rows["flooded"].astype("float32")
"""
ENVIRONMENT = """
schema_version: 1
name: local
state: .mtac
limits: {run_seconds: 120}
promotion: {branches: ["*"], require_clean: false, require_approval: false}
"""
AS_OF = date(2024, 1, 9)


@dataclass(frozen=True, eq=False)
class Line:
    """A project with two trained packs, and what each is evaluated by."""

    project: Project
    resolved: ResolvedRecipe
    pack: Path
    older: Path


def write_tides(root: Path, days: int = 16, rows: int = 100) -> None:
    """Daily files; a flood follows from the level with noise, and every twentieth reading never learns of one."""
    folder = root / "incoming"
    folder.mkdir()
    for number in range(days):
        day, random = date(2024, 1, 1) + timedelta(days=number), np.random.default_rng(number)
        level = random.random(rows) * 10
        flooded = pd.array((level + random.normal(0, 2, rows) > 6).astype(int), dtype="Int8")
        flooded[::20] = pd.NA
        frame = pd.DataFrame(
            {
                "reading": number * 1000 + np.arange(rows),
                "day": day.isoformat(),
                "asked_at": [f"{day}T{index % 24:02d}:00:00+00:00" for index in range(rows)],
                "level": level,
                "gauge": random.choice(["north", "south", "west"], rows),
                "flooded": flooded,
            }
        )
        frame.to_csv(folder / f"tides-{day}.csv", index=False)


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """Ingested, trained twice (another seed), never to be changed; `reports` is empty."""
    root = tmp_path_factory.mktemp("line")
    home = root / f"coast_{secrets.token_hex(4)}"
    files = {
        "environments/local.yaml": ENVIRONMENT,
        "defs/tides/dataset.yaml": DATASET,
        "defs/tides/contract.py": CONTRACT,
        "defs/floods/recipe.yaml": RECIPE,
        "defs/floods/features.py": FEATURES.format(columns=["level", "gauge"]),
        "__init__.py": "",
    }
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content.lstrip("\n"))
    (root / "pyproject.toml").write_text(f'[tool.dg.project]\nroot_module = "{home.name}"\n')
    write_tides(root)
    project = find_project(root)
    newer, older = (load_recipe(project, "floods", (f"training.seed={seed}",), AS_OF) for seed in (7, 8))
    ingest(project, load_dataset(project, "tides"), newer.windows().all)
    packs = [project.state.models / name for name in ("newer", "older")]
    for resolved, pack in zip((newer, older), packs, strict=True):
        train(project, resolved, pack, "run")
    return Line(project, newer, *packs)
