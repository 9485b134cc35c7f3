"""Kept scores are those that would have been fitted, and of no other rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtac_assets.evaluation import launch
from mtac_assets.evaluation.baselines import Rows, fit_and_score
from mtac_assets.evaluation.evaluate import evaluate
from mtac_assets.evaluation.judged import judge
from mtac_assets.evaluation.kept_baselines import score_once
from mtac_assets.evaluation.launch import keeping_baselines
from mtac_assets.evaluation.report import open_report

NAME = "logistic_regression"


def rows(seed: int, count: int) -> Rows:
    draw = np.random.default_rng(seed)
    return Rows(draw.normal(size=(count, 3)).astype("f4"), draw.integers(0, 4, (count, 1)).astype("i4"), (4,))


@pytest.fixture
def asked() -> dict[str, Any]:
    labels = np.random.default_rng(3).integers(0, 2, 200).astype("f4")
    return {"name": NAME, "train": rows(1, 200), "labels": labels, "test": rows(2, 50), "seed": 7}


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*"))


def test_the_second_time_they_are_read(tmp_path: Path, asked: dict[str, Any]) -> None:
    fitted = score_once(tmp_path, **asked)
    assert np.array_equal(fitted, fit_and_score(**asked))
    (file,) = files(tmp_path)
    np.save(file, fitted / 2)
    assert np.array_equal(score_once(tmp_path, **asked), fitted / 2), "read, not fitted"


@pytest.mark.parametrize("what", ["name", "train", "labels", "test", "seed"])
def test_whatever_they_follow_from_is_in_the_key(tmp_path: Path, asked: dict[str, Any], what: str) -> None:
    score_once(tmp_path, **asked)
    train, test = asked["train"], asked["test"]
    changed = {
        "name": "base_rate",
        "train": replace(train, numeric=train.numeric + np.float32(1e-3)),
        "labels": 1 - asked["labels"],
        "test": replace(test, categorical=test.categorical[::-1]),
        "seed": 8,
    }
    score_once(tmp_path, **{**asked, what: changed[what]})
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("content", [b"", b"no array", "short"])
def test_a_file_that_holds_something_else_is_made_anew(
    tmp_path: Path, asked: dict[str, Any], content: bytes | str
) -> None:
    fitted = score_once(tmp_path, **asked)
    (file,) = files(tmp_path)
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        np.save(file, fitted[:-1])
    assert np.array_equal(score_once(tmp_path, **asked), fitted)
    assert np.array_equal(np.load(file), fitted)


def test_a_report_and_a_decision_share_them_within_the_block_alone(line: Any, tmp_path: Path) -> None:
    names = tuple(line.resolved.recipe.evaluation.baselines)
    order = {"baselines": names, "data_dir": line.project.state.data}
    kept = tmp_path / "kept"
    whole = evaluate(line.project, line.resolved, line.pack, out=tmp_path / "whole", kept=kept).scores()
    assert len(files(kept)) == len(names)
    for file in files(kept):
        np.save(file, np.load(file) / 2)
    with keeping_baselines(kept):
        launch.judge(line.project, line.resolved, line.pack, out=tmp_path / "judged", **order)
    theirs = open_report(tmp_path / "judged").scores()
    for name in names:
        assert np.array_equal(theirs[name].to_numpy(), whole[name].to_numpy() / 2)
    own = judge(line.project, line.resolved, line.pack, out=tmp_path / "own", **order)
    assert own.scores().equals(whole.select(["label", "unit", "model", *names]))
