"""Policies as data: what they lay over a recipe's triggers, and what is refused."""

from __future__ import annotations

from datetime import date

import pytest

from mtac_assets.orchestration.replay.policies import BUILT_IN, USUAL, chosen, parse
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.load import check_recipe, load_recipe
from mtac_assets.spec.project import Project


@pytest.fixture
def project(project: Project) -> Project:
    """Tides with a history that is long enough to watch for drift."""
    recipe, dataset = project.recipes()["floods"], project.datasets()["tides"]
    recipe.write_text(
        recipe.read_text().replace("train_days: 5", "train_days: 40").replace("test_days: 2", "test_days: 3")
    )
    dataset.write_text(dataset.read_text().replace("start: 2024-01-01", "start: 2023-01-01"))
    return project


def triggers(project: Project, name: str):
    declared = check_recipe(project, "floods").triggers
    return check_recipe(project, "floods", parse(name).overrides(declared.model_dump(mode="json"))).triggers


def test_each_built_in_policy_asks_by_one_thing_alone(project: Project) -> None:
    asked = {
        name: {
            kind for kind in ("schedule", "upstream", "drift", "performance") if getattr(triggers(project, name), kind)
        }
        for name in BUILT_IN
    }
    assert asked == {
        "never": set(),
        "weekly": {"schedule"},
        "nightly": {"schedule"},
        "drift": {"drift"},
        "performance": {"performance"},
        "recipe": {"schedule"},
    }
    assert all(triggers(project, name).active for name in BUILT_IN)


def test_a_policy_keeps_what_the_recipe_says_and_it_does_not(project: Project) -> None:
    weekly = triggers(project, "weekly").schedule
    assert weekly is not None
    assert (weekly.cron, weekly.timezone) == ("0 3 * * 1", "Europe/Berlin")
    recipe = project.recipes()["floods"]
    recipe.write_text(recipe.read_text() + "  drift: {false_alarms: 0.05}\n")
    drift = triggers(project, "drift").drift
    assert drift is not None
    assert drift.false_alarms == 0.05


def test_a_policy_of_ones_own_has_all_else_switched_off(project: Project) -> None:
    own = triggers(project, "mine:triggers.schedule.cron=0 3 1,15 * *;triggers.cooldown_hours=48")
    assert own.schedule is not None
    assert (own.schedule.cron, own.cooldown_hours, own.performance) == ("0 3 1,15 * *", 48, None)


def test_no_policy_changes_what_decides_a_models_bits(project: Project) -> None:
    declared = check_recipe(project, "floods").triggers.model_dump(mode="json")
    documents = [
        load_recipe(project, "floods", policy.overrides(declared), date(2024, 1, 7)).identity_document()
        for policy in BUILT_IN.values()
    ]
    assert all(document == documents[0] for document in documents)


def test_without_a_choice_the_usual_ones_are_played() -> None:
    assert tuple(policy.name for policy in chosen([])) == USUAL


@pytest.mark.parametrize(
    ("texts", "errors"),
    [
        (["yearly"], ["no policy 'yearly'"]),
        (["weekly:triggers.active=true"], ["built-in"]),
        (["mine:"], ["says nothing"]),
        (["mine:training.epochs=5"], ["no override of a trigger"]),
        (["never", "never"], ["there twice"]),
        (["Mine:triggers.upstream", "yearly"], ["no name", "no override", "no policy"]),
    ],
)
def test_every_fault_is_named(texts: list[str], errors: list[str]) -> None:
    with pytest.raises(MtacError) as raised:
        chosen(texts)
    for finding, error in zip(raised.value.findings, errors, strict=True):
        assert error in finding.error
