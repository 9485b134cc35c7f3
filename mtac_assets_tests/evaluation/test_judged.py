"""What a decision looks at is what the report says, without intervals and pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtac_assets.evaluation.evaluate import evaluate
from mtac_assets.evaluation.launch import judge
from mtac_assets.evaluation.report import open_report
from mtac_assets.spec.errors import MtacError


def test_the_numbers_and_scores_are_those_of_the_report_and_no_page_is_made(line: Any, tmp_path: Path) -> None:
    whole = evaluate(line.project, line.resolved, line.pack, champion=line.pack, out=tmp_path / "whole")
    data = line.project.state.data
    out = judge(
        line.project,
        line.resolved,
        line.pack,
        out=tmp_path / "judged",
        data_dir=data,
        baselines=("logistic_regression",),
        champion=line.pack,
    )
    judged = open_report(out)
    assert sorted(path.name for path in out.iterdir()) == ["files.json", "report.json", "scores.parquet"]
    named = ["label", "unit", "model", "champion", "logistic_regression"]
    assert judged.scores().equals(whole.scores().select(named))
    assert {name: metric["value"] for name, metric in judged.metrics.items()} == {
        name: metric["value"] for name, metric in whole.metrics.items()
    }
    assert all(metric["low"] is None and metric["reason"] == "not resampled" for metric in judged.metrics.values())
    ours, theirs = (document["baselines"] for document in (judged.document, whole.document))
    assert list(ours) == ["logistic_regression"]
    assert ours["logistic_regression"]["brier"]["value"] == theirs["logistic_regression"]["brier"]["value"]
    kept = ("column", "value", "rows", "positives", "small")
    assert [[one[name] for name in kept] for one in judged.document["slices"]] == [
        [one[name] for name in kept] for one in whole.document["slices"]
    ]
    assert [one["metrics"]["roc_auc"]["value"] for one in judged.document["slices"]] == [
        one["metrics"]["roc_auc"]["value"] for one in whole.document["slices"]
    ]
    for name in ("model_id", "weights_digest", "test", "overlap_rows", "min_slice_rows"):
        assert judged.document[name] == whole.document[name]


def test_a_damaged_champion_is_not_scored(line: Any, tmp_path: Path) -> None:
    (tmp_path / "champion").mkdir()
    (tmp_path / "champion" / "pack.json").write_text('{"model_id": "floods-0"}')
    order = {"out": tmp_path / "judged", "data_dir": line.project.state.data, "baselines": ()}
    with pytest.raises(MtacError, match=r"pack\.json"):
        judge(line.project, line.resolved, line.pack, champion=tmp_path / "champion", **order)
    assert not (tmp_path / "judged").exists()
