"""The assets of a recipe of texts, in Dagster: from a function's texts to a training set with its mix and its checks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from mtac_assets.orchestration.assets.preflight import passed_in
from mtac_assets.orchestration.execute import execute
from mtac_assets.orchestration.instance import instance
from mtac_assets.orchestration.jobs import ingest_name, train_name
from mtac_assets.orchestration.place import recipe_place
from mtac_assets.orchestration.repository import load_repository
from mtac_assets.orchestration.settings import run_config
from mtac_assets.provenance.plan import plan
from mtac_assets.spec.errors import CheckFailed
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project
from mtac_assets_tests.texts import RECIPE, make_texts

PREPARED = ("scores", "tokenizer", "training_set")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    made = make_texts(tmp_path)
    monkeypatch.syspath_prepend(str(made.root))
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] == made.package]:
        del sys.modules[name]


def run(project: Project, assets: tuple[str, ...] = PREPARED) -> dict[str, Any]:
    repository = load_repository(project)
    keys = [dg.AssetKey(["small_lm", name]) for name in assets]
    with instance(project) as opened:
        for dataset in project.datasets():
            execute(
                project,
                opened,
                repository.get_job(ingest_name(dataset)),
                tags={},
                run_config=run_config((), force=False),
            )
        job = repository.get_job(train_name("small_lm"))
        done = execute(project, opened, job, tags={}, run_config=run_config((), force=False), assets=keys)
    return {key: dict(value) for key, value in done.metadata.items()}


def test_texts_become_a_training_set_and_the_plan_follows(project: Project) -> None:
    resolved = load_recipe(project, "small_lm")
    names = [step.asset for step in plan(project, resolved).steps]
    assert names == ["code", "prose", "sums", *(f"small_lm/{each}" for each in (*PREPARED, "model", "report"))]
    shown = run(project)
    mix = next(value["mix"] for value in shown.values() if "mix" in value)
    assert "├─ code  real  42.06% asked" in str(mix)
    picture = next(value["shares"] for value in shown.values() if "shares" in value)
    assert "data:image/svg+xml;base64," in str(picture)
    assert [step.asset for step in plan(project, resolved).steps] == ["small_lm/model", "small_lm/report"]
    place = recipe_place(project.recipes()["small_lm"].parent)
    with instance(project) as opened:
        (newest,) = opened.get_run_records(limit=1)
        asked = {name: SimpleNamespace(instance=opened, run_id=name) for name in (newest.dagster_run.run_id, "another")}
        assert [passed_in(context, place) for context in asked.values()] == [True, False]
    other = load_recipe(project, "small_lm", ("mix.tokens=9000",))
    assert [step.asset for step in plan(project, other).steps] == [
        "small_lm/training_set",
        "small_lm/model",
        "small_lm/report",
    ]
    source = project.datasets()["sums"].parent / "source.py"
    source.write_text(source.read_text().replace("range(80)", "range(81)"))
    (step, *_) = plan(project, resolved).steps
    assert (step.asset, step.reason) == ("sums", "all: its source changed")


@pytest.mark.slow
def test_near_duplicates_across_the_split_block_the_model(project: Project) -> None:
    source = project.datasets()["prose"].parent / "source.py"
    source.write_text(source.read_text().replace("range(160)", "range(80)").replace(
        "        yield", "        yield f\"again-{n:03d}\", \" \".join(WORDS[n % 7] + str(m * n) for m in range(90))\n"
        "        yield f\"copy-{n:03d}\", \" \".join(WORDS[n % 7] + str(m * n) for m in range(91))\n        yield"
    ))  # fmt: skip
    recipe = project.recipes()["small_lm"]
    recipe.write_text(RECIPE.replace("max_epochs: 2}", "max_epochs: 4}"))
    with pytest.raises(CheckFailed, match="have a near-duplicate to train on; prose:"):
        run(project)
    with pytest.raises(CheckFailed, match="have a near-duplicate to train on; prose:"):
        run(
            project, assets=("model",)
        )  # the training set is there now, so no check runs; the model refuses all the same


@pytest.mark.slow
def test_a_training_that_cannot_end_well_is_refused_by_the_run_that_builds_the_set_and_by_the_next(
    project: Project,
) -> None:
    """The second run has nothing to build, so no check of the training set runs in it."""
    recipe = project.recipes()["small_lm"]
    recipe.write_text(RECIPE.replace("every_steps: 20", "every_steps: 5000"))
    with pytest.raises(CheckFailed, match="a checkpoint every 5,000 steps"):
        run(project, assets=(*PREPARED, "model"))
    assert [step.asset for step in plan(project, load_recipe(project, "small_lm")).steps] == [
        "small_lm/model",
        "small_lm/report",
    ]
    with pytest.raises(CheckFailed, match="a checkpoint every 5,000 steps"):
        run(project, assets=("model",))
    assert not project.state.models.exists()
