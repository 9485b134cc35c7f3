"""Verbs on a project with a model, each in a process of its own: exit code, and the JSON that docs/commands.md promises."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mtac_assets_tests.trained import AS_OF, Line

BASELINES = {"base_rate", "logistic_regression"}


def test_a_model_is_pushed_and_nothing_that_is_needed_is_garbage(
    line: Line, model: dict[str, Any], tmp_path: Path
) -> None:
    theirs = tmp_path / "theirs"
    subprocess.run(["git", "clone", "-q", str(line.root), str(theirs)], check=True)
    pushed = line.mtac("push", str(theirs))
    assert f"models/{model['model_id']}" in pushed["references"]
    assert pushed["objects"] > 10
    assert pushed["bytes"] > 10_000
    assert Line(theirs).mtac("verify", model["model_id"])["errors"] == [], "with all its objects"
    found = line.mtac("gc", "--keep", "1")
    assert (found["models"], found["removed"]) == ([], False)
    assert model["model_id"] in found["kept"]
    assert "bytes" in found
    assert "objects" in found
    dropped = line.mtac("gc", "--keep", "0")
    assert dropped["models"] == [model["model_id"]]
    assert line.mtac("models")["models"], "said and not done"


def test_two_models_are_compared_on_the_terminal_and_on_a_page(
    line: Line, model: dict[str, Any], tmp_path: Path
) -> None:
    other = model["model_id"][:-12] + "0" * 12
    line.forge(
        model["model_id"],
        "model/declaration.json",
        lambda text: text.replace('"recipe.training.seed": "7"', '"recipe.training.seed": "8"'),
        other,
    )
    page = tmp_path / "diff.html"
    found = line.mtac("diff", model["model_id"], other, "--html", str(page))
    assert found.keys() >= {"recipe", "mix", "data", "code", "environment", "metrics", "same_weights", "page"}
    assert found["same_weights"] is True
    assert found["recipe"] == [{"leaf": "recipe.training.seed", "old": "7", "new": "8"}]
    assert found["data"] == found["code"] == found["environment"] == []
    assert found["page"] == str(page)
    assert model["model_id"] in page.read_text()


def test_a_person_sees_the_newest_models_and_is_told_of_the_others(line: Line, model: dict[str, Any]) -> None:
    page = line.process("models").stdout
    assert model["model_id"] in page
    assert "shows more" not in page
    reference = f"refs/mtac/models/{model['model_id']}"
    for number in range(24):
        subprocess.run(["git", "update-ref", f"{reference}{number}", reference], cwd=line.root, check=True)
    page = line.process("models").stdout
    assert page.count(model["model_id"]) == 20, "whole IDs, however narrow a screen would be"
    assert "the newest 20 of 25" in page
    assert line.process("models", "--limit", "22").stdout.count(model["model_id"]) == 22
    assert len(line.mtac("models")["models"]) == 25
    assert len(line.mtac("models", "--limit", "3")["models"]) == 3


@pytest.mark.parametrize("kind", ["recipe", "language_recipe", "dataset", "environment"])
def test_a_schema_is_the_one_that_the_shipped_files_name(root: Path, line: Line, kind: str) -> None:
    done = line.process("schema", kind)
    assert done.returncode == 0
    shipped = root / "docs" / "schema" / f"{kind}.schema.json"
    assert json.loads(done.stdout) == json.loads(shipped.read_text())


@pytest.mark.slow
def test_a_probe_takes_the_first_steps_twice(line: Line) -> None:
    found = line.mtac("probe", "floods", "--as-of", AS_OF, "--steps", "2")
    assert found["steps"] == 2
    assert found["compared"] > 10
    assert found["divergence"] is None


@pytest.mark.slow
def test_seeds_tell_how_far_luck_moves_a_metric(line: Line, model: dict[str, Any]) -> None:
    found = line.mtac("seeds", "floods", "--as-of", AS_OF, "--count", "2")
    assert [row["seed"] for row in found["rows"]] == [7, 8]
    assert found["rows"][0]["model_id"] == model["model_id"]
    assert found["rows"][1]["model_id"] != model["model_id"]
    values = [row["metrics"]["roc_auc"]["value"] for row in found["rows"]]
    assert found["spread"]["roc_auc"]["mean"] == pytest.approx(sum(values) / 2)


@pytest.mark.slow
def test_a_backtest_tabulates_two_dates(line: Line, model: dict[str, Any]) -> None:
    found = line.mtac("backtest", "floods", "--from", AS_OF, "--to", "2024-01-09", "--every", "day")
    first, second = found["rows"]
    assert (first["as_of"], second["as_of"]) == (AS_OF, "2024-01-09")
    assert first["model_id"] == model["model_id"] != second["model_id"]
    assert first["metrics"] == model["metrics"]
    for row in found["rows"]:
        assert row["baselines"].keys() == BASELINES
        for metrics in (row["metrics"], *row["baselines"].values()):
            assert metrics["log_loss"].keys() >= {"value", "low", "high"}
            assert metrics["log_loss"]["value"] > 0
            assert metrics["log_loss"]["low"] is None, "days that are too few have no interval, and say so"
            assert "day" in metrics["log_loss"]["reason"]
    assert (line.root / found["report"]).is_file()


@pytest.mark.slow
@pytest.mark.fault
def test_with_mlflow_away_a_run_goes_on_to_its_end_and_warns(line: Line, model: dict[str, Any]) -> None:
    """What is not trained again is not recorded again either: what waited is sent by the next start."""
    with line.mlflow_away():
        done = line.process("run", "floods", "--as-of", "2024-01-09", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["status"] == "built"
    assert made["model_id"] != model["model_id"]
    assert [row for row in done.stderr.splitlines() if "warning" in row.lower() and "MLflow" in row], done.stderr
    assert len(list((line.root / ".mtac" / "outbox").glob("0*"))) > 0
    assert {one["model_id"] for one in line.mtac("models")["models"]} == {model["model_id"], made["model_id"]}
    assert list((line.root / ".mtac" / "outbox").glob("0*")) == []


def test_a_plan_names_the_package_that_changed(line: Line, model: dict[str, Any]) -> None:
    """Another version of a distribution that the closure imports; here the recorded one is another."""
    declaration = line.root / ".mtac" / "models" / model["model_id"] / "declaration.json"
    assert "environment.package.torch" in json.loads(declaration.read_text())["leaves"]
    fake = line.root.parent / "site-packages"
    metadata = fake / "safetensors-0.0.1.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: safetensors\nVersion: 0.0.1\n")
    path = {"PYTHONPATH": f"{fake}:{Path(__file__).parents[2]}"}
    found = line.mtac("plan", "floods", "--as-of", AS_OF, env=path)
    assert found["up_to_date"] is False
    (step,) = [step for step in found["steps"] if step["asset"] == "floods/model"]
    (change,) = [change for change in step["changes"] if change["leaf"] == "environment.package.safetensors"]
    assert change["new"] == "0.0.1"
    assert "safetensors" in step["reason"]
