from __future__ import annotations

import copy
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.spec.language import LanguageRecipe
from mtac_assets.spec.project import Project, find_project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.errors import TrainingRefused
from mtac_assets.training.preflight.facts import Facts, facts_of
from mtac_assets.training.preflight.registry import Result, run
from mtac_assets_tests.training.tiny_tokens import LANGUAGE_RECIPE, LENGTH, write_token_set

BILLION = {"layers": 22, "heads": 32, "width": 2048, "key_value_heads": 4, "hidden": 5632, "tied_head": False}


@pytest.fixture
def project(root: Path) -> Project:
    return find_project(root)


def facts(project: Project, changes: dict[str, dict[str, Any]], **how: Any) -> Facts:
    document = copy.deepcopy(LANGUAGE_RECIPE)
    for section, values in changes.items():
        document[section] |= values
    recipe = LanguageRecipe.model_validate(document, strict=False)
    resolved = ResolvedRecipe.of(recipe, None, Path("tiny"), "defs/tiny", (), None)
    return facts_of(project, resolved, **{"workers": 1} | how)


def checked(project: Project, changes: dict[str, dict[str, Any]], **how: Any) -> dict[str, Result]:
    return {result.id: result for result in run(facts(project, changes, **how))}


def judged(found: Facts, identifier: str) -> Result:
    return next(result for result in run(found) if result.id == identifier)


def with_environment(project: Project, **sections: dict[str, Any]) -> Project:
    """The project in an environment with other values."""
    changed = {name: getattr(project.environment, name).model_copy(update=new) for name, new in sections.items()}
    return dataclasses.replace(project, environment=project.environment.model_copy(update=changed))


def number_after(words: str, said: str) -> int:
    found = re.search(re.escape(words) + r"([0-9,]+)", said)
    assert found is not None, said
    return int(found[1].replace(",", ""))


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


def test_where_weights_are_sharded_a_worker_holds_a_part_and_what_needs_all_of_them_is_told(project):
    sharing = with_environment(project, launcher={"sharded": True})
    changes = {"training": {"ema_decay": None}, "model": {"settings": {"layers": 4, "heads": 4, "width": 256}}}
    whole, parted = (checked(where, changes, workers=4) for where in (project, sharing))
    weights, part = (found["device.memory"].evidence["weights_mib"] for found in (whole, parted))
    assert part == pytest.approx(weights / 4, abs=0.1)
    assert "workers.sharded" not in whole.keys() | checked(sharing, changes, workers=1).keys()
    assert parted["workers.sharded"].passed
    assert "not probed" in str(parted["workers.sharded"].remark)
    refused = checked(sharing, {}, workers=4)["workers.sharded"]
    assert "training.ema_decay needs all weights at once" in str(refused.finding)


def test_the_environment_prices_a_run_and_names_its_notice(project):
    priced = with_environment(project, accounting={"price_per_cpu_hour": 3600.0}, limits={"preemption_seconds": 1})
    slow = {"training": {"threads": 1}, "model": {"settings": {"layers": 24, "heads": 8, "width": 1024}}}
    results = checked(priced, slow, workers=2)
    numbers = results["cost.time"].evidence
    assert numbers["cost"] == pytest.approx(numbers["device_hours"] * 3600, rel=0.02)
    assert failed(results) >= {"checkpoint.preemption"}


def test_a_training_set_says_what_there_really_is(project, tmp_path):
    manifest = json.loads((write_token_set(tmp_path / "set") / "manifest.json").read_text())
    greedy = checked(project, {}, manifest=manifest | {"steps": 4000})
    assert failed(greedy) >= {"data.tokens"}
    assert f"{4000 * 16 * LENGTH:,} tokens are asked for" in str(greedy["data.tokens"].finding)


def test_a_device_that_nobody_knows_is_refused(project):
    with pytest.raises(TrainingRefused, match="no device is called `h9000`"):
        checked(project, {}, device="h9000")


def test_more_threads_than_cores_are_remarked_and_refuse_nothing(project):
    """Oversubscription is slow and moves no bit."""
    found = dataclasses.replace(facts(project, {}, workers=4), cores=2)
    result = judged(found, "determinism.prerequisites")
    assert result.passed
    assert "4 workers of 1 threads on 2 cores wait for each other" in (result.remark or "")
    assert judged(dataclasses.replace(found, cores=4), "determinism.prerequisites").remark is None


@pytest.mark.parametrize(("kind", "refused"), [("process", True), ("torchrun", True), ("ray", False)])
def test_workers_share_this_machine_only_where_they_run_on_it(project, kind, refused):
    """A Ray cluster's machines are not this one: neither its memory nor its cores are theirs."""
    found = facts(with_environment(project, launcher={"kind": kind}), {}, workers=8)
    small = dataclasses.replace(found.device, memory=4 * found.memory.peak)
    found = dataclasses.replace(found, device=small, cores=1)
    memory = judged(found, "device.memory")
    assert memory.passed is not refused
    assert ("Ray places the workers" in (memory.remark or "")) is not refused
    assert (judged(found, "determinism.prerequisites").remark is not None) is refused


def test_the_remedy_for_the_disk_is_enough_and_says_when_there_is_none(project):
    full = facts(project, {"training": {"checkpoint_every_steps": 1}})
    full = dataclasses.replace(full, free_disk=4 * full.memory.state + full.memory.weights)
    result = judged(full, "disk.checkpoints")
    every = number_after("write ", result.finding.remedy)
    rarer = full.training.model_copy(update={"checkpoint_every_steps": every})
    rarer_recipe = full.recipe.model_copy(update={"training": rarer})
    assert judged(dataclasses.replace(full, recipe=rarer_recipe), "disk.checkpoints").passed
    full = dataclasses.replace(full, free_disk=full.memory.state)
    assert judged(full, "disk.checkpoints").finding.remedy.startswith("make room")


def test_the_remedy_for_a_run_that_takes_too_long_is_enough(project):
    slow = {"mix": {"tokens": 40_000_000}}
    result = checked(with_environment(project, limits={"run_seconds": 1}), slow)["cost.time"]
    enough = number_after("at least ", result.finding.expected)
    assert checked(with_environment(project, limits={"run_seconds": enough}), slow)["cost.time"].passed


def test_the_remedy_for_rows_beyond_the_rotary_positions_is_enough(project):
    settings = LANGUAGE_RECIPE["model"]["settings"]
    result = checked(project, {"model": {"settings": settings | {"rope_base": 1.5}}})["network.sequence"]
    base = number_after("write rope_base: ", result.finding.remedy)
    assert checked(project, {"model": {"settings": settings | {"rope_base": base}}})["network.sequence"].passed


@pytest.mark.parametrize("learnt", [290, 310])
def test_a_tokeniser_of_another_size_is_refused_and_the_right_one_is_not(project, tmp_path, learnt):
    manifest = json.loads((write_token_set(tmp_path / "set") / "manifest.json").read_text())
    result = checked(project, {}, manifest=manifest | {"vocabulary_size": learnt})["network.vocabulary"]
    assert f"tokeniser has {learnt} tokens, the recipe asks for 300" in result.finding.error
    assert checked(project, {}, manifest=manifest | {"vocabulary_size": 300})["network.vocabulary"].passed


@pytest.mark.parametrize("device", ["v100", "t4"])
def test_a_device_without_bfloat16_asks_for_float32(project, device):
    on_gpu = {"training": {"device": "cuda", "precision": "bfloat16"}}
    result = checked(project, on_gpu, device=device)["device.kind"]
    assert result.finding.error == f"{device} has no bfloat16"
    assert result.finding.remedy == "write `precision: float32`"
    on_gpu["training"]["precision"] = "float32"
    assert checked(project, on_gpu, device=device)["device.kind"].passed


def test_both_remedies_for_a_short_notice_are_enough(project):
    """A longer notice; and more workers, where a step on them and the writing fit."""
    wide = {"model": {"settings": {"layers": 1, "heads": 8, "width": 256}}, "training": {"checkpoint_every_steps": 4}}
    found = facts(project, wide)
    alone = judged(with_notice(found, 10_000), "checkpoint.preemption").evidence["needed_seconds"]
    slow = dataclasses.replace(found, device=dataclasses.replace(found.device, peak=found.device.peak * alone / 8))
    result = judged(with_notice(slow, 4), "checkpoint.preemption")
    assert result.evidence["lost_seconds_at_most"] > 0
    notice = number_after("a notice of ", result.finding.remedy)
    assert judged(with_notice(slow, notice), "checkpoint.preemption").passed
    workers = number_after("or start ", result.finding.remedy)
    assert judged(dataclasses.replace(with_notice(slow, 4), workers=workers), "checkpoint.preemption").passed


def with_notice(found: Facts, seconds: int) -> Facts:
    limits = found.environment.limits.model_copy(update={"preemption_seconds": seconds})
    return dataclasses.replace(found, environment=found.environment.model_copy(update={"limits": limits}))
