"""What a change does to recipes, told in Markdown, and which of it makes another model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mtac_assets_tests.conftest import ROOT
from mtac_assets_tests.tides import make_project


def recipe_diff(folder: Path) -> str:
    command = [sys.executable, str(ROOT / "deploy" / "recipe_diff.py"), "HEAD"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def test_fields_with_both_values_and_whether_they_make_another_model(tmp_path: Path) -> None:
    make_project(tmp_path)
    assert "No recipe and no dataset changes" in recipe_diff(tmp_path)
    (recipe,) = tmp_path.rglob("floods/recipe.yaml")
    text = recipe.read_text()
    recipe.write_text(text.replace("learning_rate: 1e-2", "learning_rate: 2e-2").replace("0 4 * * *", "0 5 * * *"))
    told = recipe_diff(tmp_path)
    assert "| `training.learning_rate` | `0.01` | `0.02` | yes |" in told
    assert "| `triggers.schedule.cron` | `0 4 * * *` | `0 5 * * *` | no |" in told
    recipe.write_text(text.replace("epochs: 1", "epochs: none"))
    assert "**recipe `floods` cannot be read after**" in recipe_diff(tmp_path)
    recipe.unlink()
    assert "**recipe `floods` goes.**" in recipe_diff(tmp_path)
