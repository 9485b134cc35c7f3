"""Promotion, refusal, rollback and recovery, through the command line, on real models."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.promotion import decide, view
from mtac_assets.provenance import ledger
from mtac_assets.tracking import registry
from mtac_assets_tests.promotion.conftest import LATER, VARIABLES, Line


def failed(decision: dict[str, Any]) -> list[str]:
    return [verdict["gate"] for verdict in decision["verdicts"] if not verdict["passed"]]


def champion(line: Line) -> str | None:
    found = line.mtac("history", "floods", "--at", "2100-01-01")["champion"]
    return None if found is None else found["model_id"]


def promote(line: Line, model_id: str, code: int | None = 0) -> dict[str, Any]:
    return line.mtac("promote", model_id, "--by", "ada", "--reason", "test", code=code)


def test_the_life_of_two_models(line: Line, model: dict[str, Any]) -> None:
    first = model["model_id"]
    refused = promote(line, first, code=1)
    assert failed(refused) == ["reproduction"]
    assert champion(line) is None

    line.mtac("reproduce", first, "--by", "ada")
    assert promote(line, first)["promoted"] is True
    assert champion(line) == first
    assert registry.aliases(line.project, "floods") == {"champion": first}
    assert promote(line, first)["ledger"] == promote(line, first)["ledger"], "promoting the champion again is a no-op"

    second = line.mtac("run", "floods", "--as-of", LATER)["model_id"]
    line.mtac("reproduce", second, "--by", "ada")
    assert registry.aliases(line.project, "floods").get("challenger") in (None, second)
    assert promote(line, second)["previous"] == first
    assert champion(line) == second
    assert {one["model_id"]: one["status"] for one in line.mtac("models")["models"]} == {
        second: "champion",
        first: "archived",
    }

    back = line.mtac("rollback", "floods", "--by", "ada", "--reason", "worse on Monday")
    assert back["model_id"] == first
    assert champion(line) == first
    assert registry.aliases(line.project, "floods")["champion"] == first
    entries = line.mtac("history", "floods")["entries"]
    moment = next(entry["at"] for entry in entries if entry["kind"] == "promote" and entry["model_id"] == second)
    assert line.mtac("history", "floods", "--at", moment)["champion"]["model_id"] == second
    assert line.mtac("verify", "--ledger")["errors"] == []


def test_a_challenger_is_scored_beside_the_champion_on_the_same_rows(line: Line, model: dict[str, Any]) -> None:
    """Gates are read when the decision is made: one added after training counts."""
    line.rebuilt(model["model_id"])
    promote(line, model["model_id"])
    second = line.mtac("run", "floods", "--as-of", LATER)["model_id"]
    line.rebuilt(second)
    path = line.project.recipes()["floods"]
    path.write_text(path.read_text().replace("gates:\n", "gates:\n  champion: {metric: log_loss, alpha: 0.05}\n"))
    decision = promote(line, second, code=1)
    assert failed(decision) == ["champion:log_loss"]
    evidence = next(v for v in decision["verdicts"] if v["gate"] == "champion:log_loss")["evidence"]
    assert evidence["champion"] == model["model_id"]
    assert evidence["rows"] == 2 * 120
    assert "too few" in evidence["reason"], "two test days tell nothing, and are not taken to"


def test_one_bit_of_the_weights_is_found_before_promotion(line: Line, model: dict[str, Any]) -> None:
    line.rebuilt(model["model_id"])
    path = line.root / ".mtac/models" / model["model_id"] / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    decision = promote(line, model["model_id"], code=1)
    assert "integrity" in failed(decision)
    assert "model.safetensors" in str(decision["verdicts"][0]["evidence"])
    assert champion(line) is None
    found = line.mtac("verify", model["model_id"], code=1)["errors"]
    assert any("model.safetensors" in finding["where"] or "model.safetensors" in finding["error"] for finding in found)


def test_an_edited_ledger_freezes_promotions(line: Line, model: dict[str, Any]) -> None:
    line.rebuilt(model["model_id"])
    name = "refs/mtac/ledger/local"
    body = line.git("log", "-1", "--format=%B", name).replace('"actor":"ada"', '"actor":"eve"')
    forged = line.git("commit-tree", f"{name}^{{tree}}", "-p", f"{name}^", "-m", body)
    line.git("update-ref", name, forged)
    found = line.mtac("verify", "--ledger", code=1)["errors"]
    assert "entry 2" in found[0]["where"]
    assert "errors" in promote(line, model["model_id"], code=2)


def test_a_crash_between_ledger_and_alias_is_completed_once(line: Line, model: dict[str, Any]) -> None:
    line.rebuilt(model["model_id"])
    ledger.append(
        line.project,
        "local",
        kind="promote",
        recipe="floods",
        model_id=model["model_id"],
        actor="ada",
        reason="crashed",
    )
    # The next command that writes completes it; the one after that has nothing to do and does not load MLflow.
    assert decide.settle_all(line.project) == []
    assert registry.aliases(line.project, "floods") == {"champion": model["model_id"]}
    registry.set_alias(line.project, "floods", "champion", None)
    assert decide.settle_all(line.project) == []
    assert registry.aliases(line.project, "floods") == {}
    registry.set_alias(line.project, "floods", "champion", model["model_id"])
    for _ in range(2):
        assert view.settle(line.project, "floods") == []
    assert registry.aliases(line.project, "floods") == {"champion": model["model_id"]}
    assert [entry.kind for entry in ledger.history(line.project, "local", "floods")].count("promote") == 1


def test_an_alias_moved_by_hand_is_noticed_recorded_and_put_back(line: Line, model: dict[str, Any]) -> None:
    line.rebuilt(model["model_id"])
    promote(line, model["model_id"])
    registry.set_alias(line.project, "floods", "champion", None)
    done = line.process("promote", model["model_id"], "--by", "ada", "--reason", "again", "--json")
    assert done.returncode == 0
    assert "the alias champion of floods was moved by hand to nothing" in done.stderr + done.stdout
    assert registry.aliases(line.project, "floods")["champion"] == model["model_id"]
    assert ledger.history(line.project, "local", "floods")[-1].kind == "alias_moved"
    assert view.settle(line.project, "floods") == []


@pytest.mark.fault
def test_two_promotions_at_once_are_put_in_order(line: Line, model: dict[str, Any]) -> None:
    second = line.mtac("run", "floods", "--as-of", LATER)["model_id"]
    for one in (model["model_id"], second):
        line.rebuilt(one)
    command = [sys.executable, "-m", "mtac_assets.cli", "promote", "--by", "ada", "--reason", "race", "--json"]
    both = [
        subprocess.Popen([*command, one], cwd=line.root, env=VARIABLES, stdout=subprocess.PIPE)
        for one in (model["model_id"], second)
    ]
    for process in both:
        process.communicate()
        assert process.returncode == 0
    promotions = [e for e in ledger.history(line.project, "local", "floods") if e.kind == "promote"]
    judged = [entry.evidence["judged_against"] for entry in promotions]
    assert judged == [None, promotions[0].model_id], "the second was judged against the new champion"
    assert line.mtac("verify", "--ledger")["errors"] == []


def test_with_dagster_and_mlflow_gone_the_model_is_still_explained(
    line: Line, model: dict[str, Any], tmp_path: Path
) -> None:
    line.rebuilt(model["model_id"])
    promote(line, model["model_id"])
    for name in ("dagster", "mlflow"):
        (line.root / ".mtac" / name).rename(tmp_path / f"lost-{name}")
    shown = line.mtac("show", model["model_id"])
    assert shown["status"] == "champion"
    assert shown["approved_by"] == "ada"
    assert shown["intact"] is True
    assert shown["trigger"] == "person"


def test_a_clock_an_hour_behind_is_named_by_the_decision_it_writes(line: Line, model: dict[str, Any]) -> None:
    line.rebuilt(model["model_id"])
    asked = ("promote", model["model_id"], "--by", "ada", "--reason", "test")
    done = line.mtac(*asked, env={"MTAC_CLOCK": "-3600"})
    assert done["promoted"] is True
    assert any(re.search(r"clock is \d+ min behind the ledger.s last entry", each) for each in done["warnings"])


@pytest.mark.fault
def test_a_model_of_uncommitted_changes_is_promoted_nowhere_but_in_local(line: Line) -> None:
    """One gate fails, and an environment that would not ask is no environment."""
    local = line.project.environments / "local.yaml"
    production = local.with_name("production.yaml")
    written = local.read_text().replace("name: local", "name: production")
    production.write_text(written.replace("require_clean: false", "require_clean: true"))
    line.git("add", ".")
    line.git("commit", "-q", "-m", "Add production")
    features = line.project.recipes()["floods"].with_name("features.py")
    features.write_text(features.read_text() + "\nUNCOMMITTED = 1\n")
    dirty = line.mtac("run", "floods", "--as-of", LATER)["model_id"]
    assert line.mtac("show", dirty)["dirty"] is True
    elsewhere = {"APP_ENV": "production"}
    line.mtac("reproduce", dirty, "--by", "ada", env=elsewhere)
    refused = line.mtac("promote", dirty, "--by", "ada", "--reason", "now", code=1, env=elsewhere)
    assert failed(refused) == ["clean_tree"]
    production.write_text(written)
    finding = line.mtac("promote", dirty, "--by", "ada", "--reason", "now", code=2, env=elsewhere)["errors"][0]
    assert "uncommitted changes" in finding["error"]
    assert line.mtac("history", "floods", "--at", "2100-01-01")["champion"] is None
