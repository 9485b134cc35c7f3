"""A trained project with two models and a champion, and a copy of it for each test that changes something."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.data.ingest import ingest
from mtac_assets.data.versioning import version
from mtac_assets.evaluation.evaluate import evaluate
from mtac_assets.provenance import ledger
from mtac_assets.provenance.identity import declare
from mtac_assets.provenance.record import record_model
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project, find_project
from mtac_assets.training.launch import train
from mtac_assets_tests.conftest import ROOT
from mtac_assets_tests.tides import make_project, write_day

AS_OF, LATER = "2024-01-08", "2024-01-09"
FIRST_LIVE = date(2024, 1, 12)  # after the test days of the champion
LAST_DAY = date(2024, 1, 24)


@dataclass(frozen=True)
class Watched:
    """A project folder, its champion (the first model) and its challenger (the second)."""

    root: Path
    champion: str
    challenger: str

    @property
    def project(self) -> Project:
        return find_project(self.root)

    @property
    def live(self) -> list[str]:
        """Days that the champion has not learned from and was not tested on; all are ingested."""
        return [(FIRST_LIVE + timedelta(days=n)).isoformat() for n in range((LAST_DAY - FIRST_LIVE).days + 1)]

    def mtac(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """One command in a process of its own, with --json; its document."""
        done = mtac(self.root, *arguments)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)


def mtac(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mtac_assets.cli", *arguments, "--json"],
        cwd=root,
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        check=False,
    )


def change_outcomes(root: Path, day: str, outcome: Callable[[str], str]) -> None:
    """Write the day's file anew, each row's outcome as `outcome` makes it of the one before; empty: not known yet."""
    path = root / "incoming" / f"tides-{day}.csv"
    head, *rows = path.read_text().splitlines()
    changed = [",".join((*cells[:-1], outcome(cells[-1]))) for cells in (row.split(",") for row in rows)]
    path.write_text("\n".join([head, *changed]) + "\n")


@pytest.fixture(scope="session", autouse=True)
def _own_engine() -> Iterator[None]:
    """Child processes in a project of a team's own load the engine that is tested, not the one that is installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, _own_engine: None) -> Watched:
    """Two models, the first the champion by the ledger; every day ingested. Never to be changed."""
    root = tmp_path_factory.mktemp("watched") / "project"
    root.mkdir()
    project = make_project(root)
    dataset = project.defs / "tides" / "dataset.yaml"
    text = dataset.read_text().replace("end: 2024-01-14", f"end: {LAST_DAY}")
    dataset.write_text(text.replace("  rows: {", "  null_rates: {flooded: 1.0}\n  rows: {"))
    recipe = project.defs / "floods" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("test_days: 2", "test_days: 4"))  # fewer are no reference
    contract = dataset.with_name("contract.py")
    contract.write_text(contract.read_text().replace('Column("int8", ', 'Column("Int8", nullable=True, checks='))
    for n in range(1, (LAST_DAY - date(2024, 1, 14)).days + 1):
        write_day(root, date(2024, 1, 14) + timedelta(days=n))
    author = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run([*author, "commit", "-aqm", "more days"], cwd=root, check=True)
    days = [(date(2024, 1, 1) + timedelta(days=n)).isoformat() for n in range(LAST_DAY.day)]
    assert not ingest(project, "tides", days).failed
    version(project, "tides", days)
    champion, challenger = _train(project, AS_OF), _train(project, LATER, report=False)
    name = project.environment.name
    ledger.append(project, name, kind="promote", recipe="floods", model_id=champion, actor="t", reason="a fixture")
    return Watched(root, champion, challenger)


def _train(project: Project, as_of: str, *, report: bool = True) -> str:
    """One model as a line makes it: trained, evaluated, recorded; without Dagster, which it does not need."""
    resolved = load_recipe(project, "floods", as_of=date.fromisoformat(as_of))
    model_id = declare(project, resolved).model_id("floods")
    pack = project.state.models / model_id
    train(project, resolved, pack, "fixture")
    folder = evaluate(project, resolved, pack).folder if report else None
    record_model(project, resolved, pack, folder, actor="t")
    return model_id


@pytest.fixture
def watched(trained: Watched, tmp_path: Path) -> Iterator[Watched]:
    """A copy that a test may change."""
    root = tmp_path / "project"
    shutil.copytree(trained.root, root, symlinks=True)
    yield Watched(root, trained.champion, trained.challenger)
    shutil.rmtree(root, ignore_errors=True)
