"""Rows with the shape of the real ones: days that differ, categories, missing numbers, a label that the features half explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mtac_assets.evaluation.assess import HeldOut, assess
from mtac_assets.evaluation.baselines import Rows, fit_and_score
from mtac_assets.spec.recipe import Bootstrap, Evaluation


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
