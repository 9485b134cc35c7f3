"""The preflight as Dagster runs it: blocking, in a process of its own, with every finding."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from mtac_assets.data import training_set
from mtac_assets.orchestration.assets.preflight import preflight_check
from mtac_assets.orchestration.place import recipe_place
from mtac_assets.orchestration.settings import SETTINGS, RunSettings
from mtac_assets.spec.load import load_recipe
from mtac_assets_tests.texts import ingest_texts, make_texts


@pytest.fixture
def check(root: Path) -> dg.AssetChecksDefinition:
    return preflight_check(recipe_place(root / "mtac_assets" / "defs" / "pydocs_lm"))


def judged(check: dg.AssetChecksDefinition, **settings: object) -> dg.AssetCheckResult:
    context = dg.build_asset_check_context(resources={SETTINGS: RunSettings(**settings)})
    result = check(context)
    assert isinstance(result, dg.AssetCheckResult)
    return result


def test_it_stands_before_the_model_and_blocks(check):
    (spec,) = check.check_specs
    assert spec.blocking
    assert spec.asset_key == dg.AssetKey(["pydocs_lm", "training_set"])


def test_a_training_that_cannot_end_well_is_told_why(check):
    """One wrong number in the run's own settings, and one in the workers asked for: both are told."""
    result = judged(check, overrides=["training.checkpoint_every_steps=100000"], workers=64)
    assert not result.passed
    assert "64 workers, and 4 micro-batches a step" in result.description
    assert "a checkpoint every 100,000 steps" in result.description


@pytest.mark.slow  # a process that loads torch
def test_a_gpu_is_the_environments_to_name(tmp_path):
    """Without it the check says which field to fill in; with it the recipe is judged for that GPU."""
    project = make_texts(tmp_path)
    check = preflight_check(recipe_place(project.recipes()["small_lm"].parent))
    on_gpu = ["training.device=cuda"]
    with pytest.raises(dg.Failure, match=r"launcher.gpu of the environment local: the recipe trains on a GPU"):
        judged(check, overrides=on_gpu)
    environment = project.environments / "local.yaml"
    environment.write_text(environment.read_text() + "launcher: {gpu: h100}\n")
    again = preflight_check(recipe_place(project.recipes()["small_lm"].parent))
    assert judged(again, overrides=on_gpu).passed


@pytest.mark.slow  # texts are packed, and a process loads torch
def test_what_the_training_set_holds_is_judged_once_it_is_built(tmp_path):
    project = make_texts(tmp_path)
    ingest_texts(project)
    built = training_set.build(project, load_recipe(project, "small_lm"))
    check = preflight_check(recipe_place(project.recipes()["small_lm"].parent))
    shown = str(judged(check).metadata["checks"])
    for source in built.manifest["sources"]:
        assert f"'{source['name']}': {source['tokens']}" in shown
