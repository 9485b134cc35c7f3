"""A policy's checkout: a clean tree of the same code, pointing nowhere outside, sharing no reference."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import pytest

from mtac_assets.orchestration.replay.landing import gather
from mtac_assets.orchestration.replay.policies import parse
from mtac_assets.orchestration.replay.surroundings import make_checkout, source_of, variables
from mtac_assets.spec.load import check_recipe, load_dataset, load_recipe
from mtac_assets.spec.project import Project, find_project


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def checkout(project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Project:
    environment = project.environments / "local.yaml"
    environment.write_text(
        environment.read_text().replace("require_approval: false", "require_approval: true")
        + "webhooks: ['https://chat.example/x']\nmlflow: {tracking_uri: 'https://mlflow.example'}\ndata: {remote: 's3://bucket/x'}\n"
    )
    note = project.recipes()["floods"].with_name("late.py")
    note.write_text("# an untracked file of the recipe\n")
    git(project.root, "update-ref", "refs/mtac/models/floods-000000000000", "HEAD")
    project = find_project(project.root)
    place = tmp_path_factory.mktemp("replay")
    source = source_of(project, load_recipe(project, "floods", as_of=date(2024, 1, 6)))
    landings = [gather(project, load_dataset(project, "tides"), date(2024, 1, 4), place / "waiting")]
    root = make_checkout(project, source, "floods", parse("weekly"), landings, place / "checkout")
    assert make_checkout(project, source, "floods", parse("weekly"), landings, place / "checkout") == root
    return find_project(root)


def test_it_points_nowhere_outside(checkout: Project) -> None:
    environment = checkout.environment
    assert environment.webhooks == ()
    assert environment.mlflow.tracking_uri is None
    assert not environment.mlflow.deliver
    assert environment.data.remote is None
    assert not environment.promotion.require_approval
    assert checkout.state.root == checkout.root / ".mtac"
    assert git(checkout.root, "for-each-ref", "refs/mtac") == ""


def test_it_is_the_same_code_with_the_policys_triggers_in_a_clean_tree(checkout: Project) -> None:
    assert git(checkout.root, "status", "--porcelain", "--untracked-files=no") == ""
    assert (checkout.recipes()["floods"].with_name("late.py")).is_file()
    schedule = check_recipe(checkout, "floods").triggers.schedule
    assert schedule is not None
    assert schedule.cron == "0 3 * * 1"
    tides = load_dataset(checkout, "tides")
    assert tides.arrival is not None
    assert tides.arrival.active
    assert tides.source.kind == "files"


def test_the_users_working_tree_and_references_stay_as_they_are(checkout: Project, project: Project) -> None:
    assert (
        git(project.root, "for-each-ref", "--format=%(refname)", "refs/mtac") == "refs/mtac/models/floods-000000000000"
    )
    assert "?? " in git(project.root, "status", "--porcelain")
    assert not git(project.root, "diff", "--cached", "--name-only")


def test_no_variable_leads_back_to_the_users_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MTAC_STATE", "MTAC_CLOCK", "DAGSTER_HOME"):
        monkeypatch.setenv(name, "/somewhere")
        assert name not in variables(tmp_path)
