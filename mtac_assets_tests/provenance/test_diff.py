"""The difference between two models, read from their commits."""

from __future__ import annotations

from typing import Any

from mtac_assets.provenance.diff import diff_models


def test_each_kind_of_difference_is_told_apart(stocked: Any) -> None:
    old = stocked.record()
    stocked.edit("shop/calendar.py", "return 7", "return 8")
    stocked.edit("shop/calendar.py", "import json", "import json\nimport hypothesis")
    stocked.write("README.md", "Another shop.\n")
    stocked.commit()
    stocked.partition("2024-01-28", "other rows")
    new = stocked.record("training.learning_rate=3e-3", weights=b"others", roc_auc=0.75)
    found = diff_models(stocked.project, old, new)
    assert [(change.leaf, change.old, change.new) for change in found.recipe] == [
        ("recipe.training.learning_rate", "0.002", "0.003")
    ]
    (data,) = found.data
    assert (data.dataset, data.added, data.removed, data.changed) == ("sales", (), (), ("2024-01-28",))
    assert (data.rows_old, data.rows_new) == (6, 6)
    (code,) = found.code
    assert (code.file, code.changed) == ("shop/calendar.py", ("<module>", "unused"))
    assert "-    return 7\n+    return 8\n" in code.text
    assert {change.leaf for change in found.environment} >= {"environment.package.hypothesis"}
    assert round(found.metrics["roc_auc"]["change"], 6) == 0.05
    assert not found.same_weights
    assert found.document()["code"][0]["text"] == code.text


def test_a_model_differs_in_nothing_from_itself(stocked: Any) -> None:
    model_id = stocked.record()
    found = diff_models(stocked.project, model_id, model_id)
    assert (found.recipe, found.data, found.code, found.environment) == ((), (), (), ())
    assert found.same_weights
