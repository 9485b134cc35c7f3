from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.spec.language import LanguageRecipe
from mtac_assets.spec.project import Project, find_project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.errors import TrainingRefused
from mtac_assets.training.preflight.facts import facts_of
from mtac_assets.training.preflight.registry import Result, run
from mtac_assets_tests.training.tiny_tokens import LANGUAGE_RECIPE, LENGTH, write_token_set

BILLION = {"layers": 22, "heads": 32, "width": 2048, "key_value_heads": 4, "hidden": 5632, "tied_head": False}


@pytest.fixture
def project(root: Path) -> Project:
    return find_project(root)


def checked(project: Project, changes: dict[str, dict[str, Any]], **how: Any) -> dict[str, Result]:
    document = copy.deepcopy(LANGUAGE_RECIPE)
    for section, values in changes.items():
        document[section] |= values
    recipe = LanguageRecipe.model_validate(document, strict=False)
    resolved = ResolvedRecipe.of(recipe, None, Path("tiny"), "defs/tiny", (), None)
    return {result.id: result for result in run(facts_of(project, resolved, **{"workers": 1} | how))}


def failed(results: dict[str, Result]) -> set[str]:
    return {name for name, result in results.items() if not result.passed}


def test_a_sound_recipe_passes_with_its_numbers(project):
    results = checked(project, {}, workers=2)
    assert failed(results) == set()
    assert results["batch.workers"].evidence == {"workers": 2, "micro_batches": 8, "accumulation": 4}
    assert results["data.tokens"].evidence["steps"] == 12
    assert results["network.parameters"].evidence["parameters"] == 42_592


def test_everything_that_is_wrong_is_told_at_once_with_a_remedy(project):
    wrong = {
        "model": {"settings": {"layers": 2, "heads": 3, "width": 32, "key_value_heads": 2}},
        "training": {
            "micro_batch_size": 6,
            "device": "cuda",
            "checkpoint_every_steps": 500,
            "schedule": {"kind": "wsd", "decay_share": 0.01},
        },
    }
    results = checked(project, wrong, workers=3, device="cpu")
    assert failed(results) == {
        "network.settings",
        "batch.micro_batches",
        "batch.workers",
        "schedule.steps",
        "checkpoint.interval",
        "device.kind",
        "determinism.prerequisites",
    }
    said = str(results["network.settings"].finding)
    assert "width is 32, expected a multiple of heads (3)" in said
    assert "key_value_heads is 2, expected a divisor of heads (3)" in said
    assert all(result.finding.remedy for result in results.values() if result.finding is not None)


def test_a_setting_that_is_missing_and_one_that_nobody_knows_are_named(project):
    said = str(
        checked(project, {"model": {"settings": {"layers": 2, "heads": 2, "depth": 3}}})["network.settings"].finding
    )
    assert "width is missing" in said
    assert "depth is 3, expected one of layers, heads, width" in said


def test_a_thousand_million_parameters_are_counted_and_measured_without_memory(project):
    large = {
        "model": {"settings": BILLION},
        "mix": {"sequence_length": 2048, "tokens": 22_000_000_000},
        "tokenizer": {"vocabulary_size": 32_000},
        "training": {"batch_size": 512, "micro_batch_size": 4, "device": "cuda", "checkpoint_every_steps": 10_000},
    }
    results = checked(project, large, workers=8, device="h100")
    assert results["network.parameters"].evidence["parameters"] == 1_100_051_200
    assert results["device.memory"].passed
    small = checked(project, large, workers=8, device="l4")["device.memory"]
    assert not small.passed
    assert "micro_batch_size" in small.finding.remedy or "larger device" in small.finding.remedy
    assert results["cost.time"].evidence["utilisation"] == 0.4


def test_the_environment_prices_a_run_and_names_its_notice(project):
    environment = project.environment.model_copy(
        update={
            "accounting": project.environment.accounting.model_copy(update={"price_per_cpu_hour": 3600.0}),
            "limits": project.environment.limits.model_copy(update={"preemption_seconds": 1}),
        }
    )
    slow = {"training": {"threads": 1}, "model": {"settings": {"layers": 24, "heads": 8, "width": 1024}}}
    results = checked(dataclasses.replace(project, environment=environment), slow, workers=2)
    numbers = results["cost.time"].evidence
    assert numbers["cost"] == pytest.approx(numbers["device_hours"] * 3600, rel=0.02)
    assert failed(results) >= {"checkpoint.preemption"}


def test_a_training_set_says_what_there_really_is(project, tmp_path):
    import json

    manifest = json.loads((write_token_set(tmp_path / "set") / "manifest.json").read_text())
    greedy = checked(project, {}, manifest=manifest | {"steps": 4000})
    assert failed(greedy) >= {"data.tokens"}
    assert f"{4000 * 16 * LENGTH:,} tokens are asked for" in str(greedy["data.tokens"].finding)


def test_a_device_that_nobody_knows_is_refused(project):
    with pytest.raises(TrainingRefused, match="no device is called `h9000`"):
        checked(project, {}, device="h9000")
