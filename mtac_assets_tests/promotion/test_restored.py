"""All databases and the project itself are lost: from a backup the model is explained, verified and rebuilt bit for bit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.tracking import registry
from mtac_assets_tests.promotion.conftest import Line


@pytest.mark.fault
def test_with_everything_lost_a_backup_brings_back_what_rebuilds_it(
    line: Line, model: dict[str, Any], tmp_path: Path
) -> None:
    model_id = model["model_id"]
    line.mtac("reproduce", model_id, "--by", "ada")
    line.mtac("promote", model_id, "--by", "ada", "--reason", "test")
    before = line.mtac("show", model_id)
    safe = tmp_path / "safe"
    assert line.mtac("backup", str(safe), "--verify")["models"] == 1
    days = sorted(path.name for path in (line.root / ".mtac/data/tides").iterdir())
    shutil.rmtree(line.root)

    again = Line(tmp_path / "again")
    subprocess.run(["git", "clone", "-q", str(safe / "mtac.git"), str(again.root)], check=True)
    done = again.mtac("restore", str(safe))
    assert done["models"] == [model_id]
    shown = again.mtac("show", model_id)
    same = ("status", "approved_by", "trigger", "weights_digest", "intact", "cost", "decisions", "metrics")
    assert {name: shown[name] for name in same} == {name: before[name] for name in same}
    assert (shown["status"], shown["intact"]) == ("champion", True)
    assert again.mtac("verify")["errors"] == []
    assert again.mtac("verify", "--ledger")["errors"] == []
    assert sorted(path.name for path in (again.root / ".mtac/data/tides").iterdir()) == days
    assert again.mtac("reproduce", model_id, "--by", "bea")["verdict"] == "identical"
    assert again.mtac("promote", model_id, "--by", "bea", "--reason", "again")["promoted"] is True
    assert registry.aliases(again.project, "floods")["champion"] == model_id, "MLflow follows the ledger again"
