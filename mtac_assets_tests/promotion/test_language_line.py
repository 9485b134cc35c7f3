"""A language model by the commands that every model has: run on several workers, again on one, reproduced, promoted, verified."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mtac_assets_tests.texts import RECIPE, make_texts

pytestmark = pytest.mark.slow  # networks are trained

SMALL = RECIPE.replace("tokens: 8000", "tokens: 1000").replace("from_step: 40", "from_step: 4").replace("every_steps: 20", "every_steps: 4")  # fmt: skip


@pytest.mark.timeout(900)
def test_the_whole_life_of_a_language_model_by_the_commands_of_every_model(tmp_path: Path) -> None:
    project = make_texts(tmp_path, SMALL)

    def mtac(*arguments: str, code: int = 0) -> dict[str, Any]:
        command = [sys.executable, "-m", "mtac_assets.cli", *arguments, "--json"]
        done = subprocess.run(command, cwd=project.root, env=os.environ, capture_output=True, text=True)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    refused = mtac("run", "small_lm", "--workers", "3", code=1)
    assert "3 workers cannot share a binary tree of sums" in [one["error"] for one in refused["errors"]]
    made = mtac("run", "small_lm", "--workers", "2")
    model_id = made["model_id"]
    assert made["status"] == "built"
    again = mtac("run", "small_lm", "--force", "--workers", "1")
    assert (again["model_id"], again["weights_digest"]) == (model_id, made["weights_digest"])
    local = project.environments / "local.yaml"
    before = local.read_text()
    local.write_text(before + "launcher: {sharded: true}\n")
    parted = mtac("run", "small_lm", "--force", "--workers", "2")
    assert (parted["model_id"], parted["weights_digest"]) == (model_id, made["weights_digest"]), (
        "no worker held it whole"
    )
    local.write_text(before)
    assert mtac("run", "small_lm")["status"] == "unchanged"
    rebuilt = mtac("reproduce", model_id, "--by", "ada")
    assert rebuilt["verdict"] == "identical"
    promoted = mtac("promote", model_id, "--by", "ada", "--reason", "the first one")
    assert promoted["promoted"]
    assert mtac("verify")["errors"] == []
    (model,) = mtac("models")["models"]
    assert (model["model_id"], model["status"]) == (model_id, "champion")
