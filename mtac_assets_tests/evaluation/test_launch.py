from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.evaluation.errors import EvaluationKilled
from mtac_assets.evaluation.launch import evaluate
from mtac_assets.evaluation.report import open_report
from mtac_assets.spec.errors import MtacError


def test_the_child_writes_the_report_and_tells_of_its_progress(
    line: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    notes: list[str] = []
    folder = evaluate(line.project, line.resolved, line.pack, out=tmp_path / "r", on_note=notes.append)
    document = open_report(folder).document
    assert document["metrics"]["roc_auc"]["value"] > 0.8
    assert document["comparison"] is None
    assert any(note.startswith("570 test rows of 6 days") for note in notes)
    out, err = capfd.readouterr()
    assert out == ""
    assert "baseline: logistic regression" in err
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


def test_the_childs_findings_come_back_as_they_were(line: Any, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "pack.json").write_text('{"model_id": "floods-0"}')
    with pytest.raises(MtacError) as raised:
        evaluate(line.project, line.resolved, tmp_path / "pack", out=tmp_path / "r")
    assert "pack.json" in raised.value.findings[0].where
    assert not (tmp_path / "r").exists()


def test_an_evaluation_beyond_its_limit_is_ended(line: Any, tmp_path: Path) -> None:
    limits = line.project.environment.limits.model_copy(update={"run_seconds": 0.2})
    environment = line.project.environment.model_copy(update={"limits": limits})
    hurried = dataclasses.replace(line.project, environment=environment)
    with pytest.raises(EvaluationKilled, match=r"longer than 0\.2 s"):
        evaluate(hurried, line.resolved, line.pack, out=tmp_path / "r")
    assert list(tmp_path.iterdir()) == []


def test_starting_an_evaluation_loads_nothing_heavy(root: Path) -> None:
    code = "import sys, mtac_assets.evaluation.launch; print(*{'torch', 'sklearn', 'matplotlib', 'scipy', 'pandas', 'numpy', 'dagster'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
