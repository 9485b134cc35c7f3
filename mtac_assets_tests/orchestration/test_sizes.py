"""A recipe's size becomes a pod's resources where the environment says what it means, and is no part of any identity."""

from __future__ import annotations

import json
from datetime import date

import pytest

from mtac_assets.orchestration.jobs import train_job
from mtac_assets.orchestration.place import recipe_place
from mtac_assets.orchestration.sizes import POD_TAG, ROUND_SECONDS, SPOT_TAINTS, pod_config
from mtac_assets.orchestration.triggers.line_job import line_job
from mtac_assets.spec.environment import Limits, Size
from mtac_assets.spec.errors import SpecError
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project

LIMITS = Limits(run_seconds=3600)
SIZES = """sizes:
  standard: {cpu: "2", memory: 4Gi}
  large: {cpu: "8", memory: 32Gi, gpus: 1, spot: true, tolerations: [spot], node_labels: {pool: gpu}, deadline_seconds: 7200}
"""


def test_the_class_decides_the_pod(project: Project) -> None:
    folder = project.recipes()["floods"].parent
    assert POD_TAG not in train_job(recipe_place(folder)).run_tags, "one machine knows no pods"
    path = project.environments / "local.yaml"
    path.write_text(path.read_text() + SIZES)
    for job in (train_job, line_job):
        tag = json.loads(job(recipe_place(folder)).run_tags[POD_TAG])
        assert tag["container_config"]["resources"]["requests"] == {"cpu": "2", "memory": "4Gi"}
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text() + "size: large\n")
    tag = json.loads(train_job(recipe_place(folder)).run_tags[POD_TAG])
    assert tag["container_config"]["resources"]["limits"] == {"memory": "32Gi", "nvidia.com/gpu": "1"}
    assert tag["pod_spec_config"]["node_selector"] == {"pool": "gpu"}
    assert [each["key"] for each in tag["pod_spec_config"]["tolerations"]] == ["spot", *SPOT_TAINTS]
    assert tag["job_spec_config"] == {"active_deadline_seconds": 7200}
    recipe.write_text(recipe.read_text().replace("size: large", "size: huge"))
    with pytest.raises(SpecError, match="no size called `huge`"):
        train_job(recipe_place(folder))


def test_a_size_is_no_part_of_a_models_identity(project: Project) -> None:
    as_of = date(2024, 1, 10)
    before = load_recipe(project, "floods", (), as_of).identity_document()
    recipe = project.recipes()["floods"]
    recipe.write_text(recipe.read_text() + "size: large\n")
    after = load_recipe(project, "floods", (), as_of)
    assert after.fields["size"] == "large"
    assert after.identity_document() == before


def test_what_may_be_moved_says_so_to_the_autoscaler() -> None:
    for spot, word in ((True, "true"), (False, "false")):
        notes = pod_config(Size(cpu="1", memory="1Gi", spot=spot), LIMITS)["pod_template_spec_metadata"]["annotations"]
        assert set(notes.values()) == {word}


def test_a_machine_that_may_be_taken_away_is_left_in_the_time_it_gives() -> None:
    for preemption, spot, grace in ((None, False, 120), (None, True, 30), (25, True, 25), (25, False, 120)):
        limits = LIMITS.model_copy(update={"preemption_seconds": preemption})
        pod = pod_config(Size(cpu="1", memory="1Gi", spot=spot), limits)["pod_spec_config"]
        assert pod["termination_grace_period_seconds"] == grace
        assert ("tolerations" in pod) == spot


def test_every_pod_has_a_deadline_after_its_runs_own_limit() -> None:
    for stages in (1, 3):
        job = pod_config(Size(cpu="1", memory="1Gi"), LIMITS, stages=stages)["job_spec_config"]
        assert job["active_deadline_seconds"] == stages * LIMITS.run_seconds + ROUND_SECONDS
