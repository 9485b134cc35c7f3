"""`--set`: as strict as the file, recorded in order."""

from __future__ import annotations

from datetime import date

import pytest

from mtac_assets.spec.errors import SpecError
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project

AS_OF = date(2024, 2, 1)


def test_values_are_set_and_recorded_in_order(project: Project):
    texts = [
        "training.learning_rate=3e-3",
        "training.schedule.kind=cosine",
        "features.numeric=[pages, seconds]",
        "gates.thresholds.0.min=0.65",
        "model.settings.width=16",
        "model.settings.2=x",
        "gates.champion=null",
        "training.learning_rate=4e-3",
    ]
    resolved = load_recipe(project, "returns", texts, AS_OF)
    recipe = resolved.recipe
    assert resolved.overrides == tuple(texts)
    assert resolved.document()["overrides"] == texts
    assert recipe.training.learning_rate == 0.004
    assert recipe.training.schedule.kind == "cosine"
    assert recipe.features.numeric == ("pages", "seconds")
    assert recipe.gates.thresholds[0].min == 0.65
    assert recipe.model.settings["width"] == 16
    assert recipe.model.settings["2"] == "x"
    assert recipe.gates.champion is None


@pytest.mark.parametrize(
    ("text", "error", "remedy"),
    [
        ("training.lerning_rate=1", "unknown key `training.lerning_rate`", "write `learning_rate`"),
        ("trainin.epochs=1", "unknown key `trainin`", "write `training`"),
        ("training.epochs=three", '`training.epochs` is "three" (text)', "change"),
        ("training.epochs", "not an override", "write --set"),
        ("=1", "not an override", "write --set"),
        ("training..epochs=1", "not an override", "write --set"),
        ("training.epochs=&a 1", "anchors", "remove"),
        ("training.learning_rate=.nan", "finite", "write"),
        ("training={epochs: 1}", "is a map", "each field"),
        ("training.epochs.x=1", "has no fields", "as a whole"),
        ("gates.thresholds.9.min=1", "entries 0 to 1", "name one"),
        ("gates.thresholds.x.min=1", "entries 0 to 1", "name one"),
        ("name=other", "the folder is called returns", "write returns"),
        ("window.validate_days=10", "leaves nothing", "lower"),
    ],
)
def test_faults_name_the_override(project: Project, text: str, error: str, remedy: str):
    with pytest.raises(SpecError) as caught:
        load_recipe(project, "returns", [text], AS_OF)
    (finding,) = caught.value.findings
    assert finding.where == f"--set {text}"
    assert error in finding.error
    assert remedy in finding.remedy
