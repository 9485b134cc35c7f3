"""`dg` itself: what it scaffolds works as it is, and what a person writes wrong is told with line and remedy."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result
from dagster_dg_cli.cli import create_dg_cli

from mtac_assets.spec.load import check_recipe, load_dataset
from mtac_assets.spec.project import Project


@pytest.fixture
def dg(project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project.root)
    command = create_dg_cli()

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(command, [*arguments])

    return run


def test_scaffolded_folders_load_as_they_are(dg, project: Project) -> None:
    assert dg("scaffold", "defs", "mtac_assets.orchestration.VersionedDataset", "readings").exit_code == 0
    made = dg("scaffold", "defs", "mtac_assets.orchestration.TrainingRecipe", "guess", "--rows", "readings")
    assert made.exit_code == 0, made.output
    assert load_dataset(project, "readings").name == "readings"
    assert check_recipe(project, "guess").data.rows == "readings"
    checked = dg("check", "defs")
    assert checked.exit_code == 0, checked.output
    listed = dg("list", "defs", "--json")
    assert '"guess/model"' in listed.output


def test_a_recipe_needs_to_know_its_rows(dg, project: Project) -> None:
    dg("scaffold", "defs", "mtac_assets.orchestration.VersionedDataset", "readings")
    asked = dg("scaffold", "defs", "mtac_assets.orchestration.TrainingRecipe", "guess")
    assert asked.exit_code != 0
    assert "which dataset has the rows? readings, tides could be meant" in str(asked.exception)
    assert "add --rows readings" in str(asked.exception)
    assert not (project.defs / "guess" / "recipe.yaml").exists()


def test_dagster_validates_the_workspace(project: Project) -> None:
    (project.root / "workspace.yaml").write_text(
        f"load_from:\n  - python_module: {{module_name: {project.package}.definitions, location_name: {project.package}}}\n"
    )
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml"]
    done = subprocess.run(
        command,
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": str(project.root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_broken_recipe_is_told_with_its_line(dg, project: Project) -> None:
    path = project.recipes()["floods"]
    path.write_text(path.read_text().replace("epochs: 1", "epochs: many"))
    checked = dg("check", "defs")
    assert checked.exit_code != 0
    told = checked.output + str(checked.exception)
    line = path.read_text().splitlines().index("  epochs: many") + 1
    assert f"recipe.yaml:{line} (training.epochs)" in told
