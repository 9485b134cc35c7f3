"""What an image holds is enough to train: the folder that lay_out.sh makes, a recipe and a data pointer, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mtac_assets.data.ingest import ingest
from mtac_assets.training.pack import Pack
from mtac_assets_tests.conftest import ROOT
from mtac_assets_tests.tides import make_project

AS_OF = "2024-01-08"


@pytest.mark.slow
def test_a_recipe_and_a_data_pointer_train_in_the_laid_out_folder(tmp_path: Path) -> None:
    """No Git repository, no databases, no settings of a person: the trainer alone, to the bits that the clone gives."""
    source = make_project(tmp_path / "source")
    ingest(source, "tides", [f"2024-01-{day:02}" for day in range(1, 10)])
    (source.root / "constraints.txt").write_text("numpy==2.4.6\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run([*git, "add", "-A"], cwd=source.root, check=True)
    subprocess.run([*git, "commit", "-qm", "a lock"], cwd=source.root, check=True)
    laid_out, image, repository = (tmp_path / name for name in ("app", "image", "nowhere.git"))
    subprocess.run([ROOT / "deploy" / "lay_out.sh", source.root, laid_out, image, repository], check=True)
    assert not repository.exists(), "the deployment makes it, and no training needs it"

    digests = set[str]()
    for root in (laid_out, source.root):
        out = tmp_path / f"out-{root.name}"
        recipe = next(root.glob("*/defs/floods/recipe.yaml"))
        options = ["--recipe", recipe, "--as-of", AS_OF, "--data", source.state.data, "--out", out, "--run-id", "bare"]
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path / "nobody")}
        done = subprocess.run(
            [sys.executable, "-m", "mtac_assets.training", *map(str, options)],
            cwd=root, env=variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        pack = Pack.open(out)
        pack.verify()
        digests.add(pack.weights_digest)
    assert len(digests) == 1
