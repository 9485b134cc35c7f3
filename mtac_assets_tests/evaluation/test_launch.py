from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.evaluation import launch
from mtac_assets.evaluation.beforehand import look
from mtac_assets.evaluation.errors import EvaluationKilled
from mtac_assets.evaluation.launch import beginning, evaluate, keeping_baselines, prepare
from mtac_assets.evaluation.report import open_report
from mtac_assets.spec.errors import MtacError
from mtac_assets.training import ahead
from mtac_assets.training.nursery import nursery


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


MADE_AT = {"created_at", "seconds", "usage"}


def test_one_begun_while_the_model_was_trained_comes_to_the_same_report(line: Any, tmp_path: Path) -> None:
    alone = evaluate(line.project, line.resolved, line.pack, out=tmp_path / "alone", on_note=lambda _: None)
    notes: list[str] = []
    prepare(line.project, line.resolved)
    with beginning(line.project, line.resolved) as begin:
        begin()
    (begun,) = launch._begun
    folder = evaluate(line.project, line.resolved, line.pack, out=tmp_path / "begun", on_note=notes.append)
    assert begun.child.returncode == 0, "it went on with the process that had begun"
    assert not launch._begun
    assert next(note for note in notes if note.startswith("baseline")) == "baseline: base rate"
    assert (folder / "scores.parquet").read_bytes() == (alone / "scores.parquet").read_bytes()
    documents = [open_report(one).document for one in (alone, folder)]
    ours, theirs = ({name: value for name, value in one.items() if name not in MADE_AT} for one in documents)
    assert ours == theirs
    assert not list(line.project.state.runs.glob(".tmp-*"))


def test_one_that_stays_fits_the_baselines_beside_the_training_and_then_evaluates(line: Any, tmp_path: Path) -> None:
    alone = evaluate(line.project, line.resolved, line.pack, out=tmp_path / "alone", on_note=lambda _: None)
    kept = tmp_path / "kept"
    with nursery({launch.MODULE: launch.LIBRARIES}, (launch.MODULE,)) as children, keeping_baselines(kept):
        with beginning(line.project, line.resolved) as begin:
            begin()
        (begun,) = launch._begun
        assert begun.child.wait() == 0
        fitted, used = {path: path.stat().st_mtime_ns for path in kept.iterdir()}, children.used.cpu_seconds
        assert len(fitted) == len(line.resolved.recipe.evaluation.baselines)
        assert used > 0
        folder = evaluate(line.project, line.resolved, line.pack, out=tmp_path / "begun", on_note=lambda _: None)
        assert children.used.cpu_seconds > used
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == fitted
    assert (folder / "scores.parquet").read_bytes() == (alone / "scores.parquet").read_bytes()
    assert not launch._begun
    assert not list(line.project.state.runs.glob(".tmp-*"))


def test_one_begun_for_another_recipe_is_ended_and_a_new_one_asked(line: Any, tmp_path: Path) -> None:
    prepare(line.project, line.resolved)
    with beginning(line.project, dataclasses.replace(line.resolved, overrides=("training.seed=8",))) as begin:
        begin()
    (begun,) = launch._begun
    folder = evaluate(line.project, line.resolved, line.pack, out=tmp_path / "r", on_note=lambda _: None)
    assert begun.child.returncode == -9
    assert open_report(folder).document["metrics"]["roc_auc"]["value"] > 0.8


def test_what_was_made_beforehand_does_not_outlive_a_change_of_the_data(line: Any, tmp_path: Path) -> None:
    before = look(line.project, line.resolved)
    assert before.holds(line.project, line.resolved, None)
    data = tmp_path / "data"
    copied = subprocess.run(["cp", "-r", str(line.project.state.data), str(data)], check=False)
    assert copied.returncode == 0
    assert before.holds(line.project, line.resolved, data)
    for manifest in data.glob("*/2024-01-10.json"):
        text = manifest.read_text()
        digest = text.split('"content_digest": "')[1][:64]
        manifest.write_text(text.replace(digest, digest[::-1]))
    assert not before.holds(line.project, line.resolved, data)


def test_a_training_that_fails_ends_the_evaluation_begun_beside_it(line: Any) -> None:
    prepare(line.project, line.resolved)
    children = []

    def train() -> None:
        with beginning(line.project, line.resolved) as begin:
            begin()
            children.append(launch._begun[0].child)
            raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        train()
    assert children[0].returncode == -9
    assert not launch._begun
    assert not list(line.project.state.runs.glob(".tmp-*"))


def test_without_a_waiting_process_nothing_is_begun(line: Any) -> None:
    ahead.dismiss(launch.MODULE)
    with beginning(line.project, line.resolved) as begin:
        begin()
    assert not launch._begun


def test_starting_an_evaluation_loads_nothing_heavy(root: Path) -> None:
    code = "import sys, mtac_assets.evaluation.launch; print(*{'torch', 'sklearn', 'matplotlib', 'scipy', 'pandas', 'numpy', 'dagster'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
