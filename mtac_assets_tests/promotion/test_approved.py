"""Gates and branches as they are at the decision: a recipe renamed since, a history rewritten since."""

from __future__ import annotations

from typing import Any

import pytest

from mtac_assets.provenance import ledger
from mtac_assets_tests.promotion.conftest import Line


def promote(line: Line, model_id: str, code: int) -> dict[str, Any]:
    return line.mtac("promote", model_id, "--by", "ada", "--reason", "test", code=code)


def failed(decision: dict[str, Any]) -> list[str]:
    return [verdict["gate"] for verdict in decision["verdicts"] if not verdict["passed"]]


def only_main(line: Line) -> None:
    """Models may come from a branch `main` and from clean trees only; committed beside the model's own history."""
    path = line.project.environments / "local.yaml"
    path.write_text(
        path.read_text().replace('branches: ["*"], require_clean: false', "branches: [main], require_clean: true")
    )
    line.git("branch", "-M", "main")


@pytest.mark.fault
def test_a_model_of_a_history_that_was_rewritten_is_refused_and_still_whole(line: Line, model: dict[str, Any]) -> None:
    only_main(line)
    line.rebuilt(model["model_id"])
    line.git("commit", "--amend", "-qm", "as if it had always been so")
    line.git("reflog", "expire", "--expire=now", "--all")
    line.git("gc", "-q", "--prune=now")
    assert failed(promote(line, model["model_id"], 1)) == ["branch"]
    shown = line.mtac("show", model["model_id"])
    assert shown["intact"] is True
    assert shown["status"] == "challenger"


@pytest.mark.fault
def test_a_recipe_renamed_since_leaves_its_models_readable_and_says_where_its_gates_are_missing(
    line: Line, model: dict[str, Any]
) -> None:
    line.rebuilt(model["model_id"])
    folder = line.project.defs / "floods"
    recipe = folder / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("name: floods", "name: inundations"))
    line.git("mv", str(folder), str(folder.with_name("inundations")))
    line.git("commit", "-qam", "Call it by its name")

    assert line.mtac("show", model["model_id"])["intact"] is True
    assert line.mtac("verify", model["model_id"])["errors"] == []
    assert [one["recipe"] for one in line.mtac("models")["models"]] == ["floods"]
    refused = promote(line, model["model_id"], 2)["errors"][0]
    assert "no recipe floods" in refused["error"]
    assert "promote under its new name" in refused["remedy"]
    assert line.kinds() == ["reproduction", "challenger"], "nothing was decided"


@pytest.mark.fault
def test_a_model_whose_reference_was_deleted_is_named_and_nothing_is_decided(line: Line, model: dict[str, Any]) -> None:
    line.rebuilt(model["model_id"])
    line.git("update-ref", "-d", f"refs/mtac/models/{model['model_id']}")
    for command in (["show"], ["verify"], ["reproduce", "--by", "ada"], ["promote", "--by", "ada", "--reason", "x"]):
        refused = line.mtac(command[0], model["model_id"], *command[1:], code=2)["errors"][0]
        assert f"no model is called `{model['model_id']}`" in refused["error"]
        assert "mtac fetch" in refused["remedy"]
    assert line.kinds() == ["reproduction", "challenger"]


@pytest.mark.fault
def test_a_challenger_of_a_champion_whose_reference_was_deleted_is_not_promoted(
    line: Line, model: dict[str, Any]
) -> None:
    """The ledger speaks of a champion that is not here: nothing can be compared with it."""
    line.rebuilt(model["model_id"])
    gone = "floods-0123456789ab"
    ledger.append(line.project, "local", kind="promote", recipe="floods", model_id=gone, actor="ada", reason="first")
    recipe = line.project.recipes()["floods"]
    recipe.write_text(recipe.read_text().replace("gates:\n", "gates:\n  champion: {metric: log_loss, alpha: 0.05}\n"))
    before = line.kinds()
    refused = promote(line, model["model_id"], 2)["errors"][0]
    assert f"no model is called `{gone}`" in refused["error"]
    assert line.kinds() == before
