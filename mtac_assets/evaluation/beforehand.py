"""What an evaluation can do before there is a model: read its rows and fit the baselines. It takes half of the evaluation's
time and one core, and a small network trains on one: both are done side by side (launch.py).

What does not belong here: anything that asks for the model's scores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from mtac_assets.evaluation.baselines import fit_and_score
from mtac_assets.evaluation.kept_baselines import score_once
from mtac_assets.evaluation.material import Material, gather
from mtac_assets.provenance.digest import digest_json
from mtac_assets.provenance.keys import feature_keys, training_set_key
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe


@dataclass
class Stopwatch:
    """Seconds a part of the evaluation took, and a note to whoever watches when it begins."""

    note: Callable[[str], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str, words: str) -> Iterator[None]:
        self.note(words)
        begun = time.perf_counter()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - begun, 3)


@dataclass(frozen=True, eq=False)
class Beforehand:
    """`inputs`: digest of the data and code that the rows came from; `baselines`: name to scores float64 [N] of the test rows;
    `seconds` by part."""

    inputs: str
    material: Material
    baselines: Mapping[str, np.ndarray]
    seconds: Mapping[str, float]

    def holds(self, project: Project, resolved: ResolvedRecipe, data_dir: Path | None) -> bool:
        """Whether data and code are still those that this was made from."""
        return self.inputs == _inputs(project, resolved, data_dir)


def look(
    project: Project,
    resolved: ResolvedRecipe,
    data_dir: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
    kept: Path | None = None,
) -> Beforehand:
    """Read rows and fit baselines, or take them from the folder `kept` (`kept_baselines`).

    Raises EvaluationError where they are unfit, and what reading features raises.
    """
    watch = Stopwatch(note)
    inputs = _inputs(project, resolved, data_dir)
    with watch.part("rows", "reading test and training rows"):
        material = gather(project, resolved, data_dir)
    note(f"{len(material.labels):,} test rows of {len(material.test['days'])} days")
    fit = fit_and_score if kept is None else partial(score_once, kept)
    baselines = {}
    for name in resolved.recipe.evaluation.baselines:
        with watch.part("baselines", f"baseline: {name.replace('_', ' ')}"):
            baselines[name] = fit(
                name, material.train_rows, material.train_labels, material.test_rows, resolved.recipe.training.seed
            )
    return Beforehand(inputs, material, baselines, watch.seconds)


def _inputs(project: Project, resolved: ResolvedRecipe, data_dir: Path | None) -> str:
    windows = resolved.windows()
    features = feature_keys(project, resolved, (*windows.features, *windows.test), data_dir)
    return digest_json([features, training_set_key(project, resolved, features)])
