from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.page import report_page
from mtac_assets.evaluation.plots import draw_all
from mtac_assets.evaluation.report import Report, open_report, publish_report


@pytest.fixture
def table(held_out: Any, scores: Any) -> pa.Table:
    _, test = held_out
    unit = np.unique(test.days, return_inverse=True)[1]
    model = (scores["hist_gradient_boosting"] + scores["logistic_regression"]) / 2
    return pa.table({"label": test.labels.astype(np.int8), "unit": unit, "model": model, **scores})


def write(document: dict[str, Any], scores: pa.Table, out: Path) -> Report:
    return publish_report(document, scores, out, draw_all, report_page)


def test_a_report_is_read_back_as_written(report: dict[str, Any], table: pa.Table, tmp_path: Path) -> None:
    written = write(report, table, tmp_path / "reports" / "delays-1")
    read = open_report(written.folder)
    assert read.document == json.loads(json.dumps(written.document))
    assert read.scores().equals(table)
    assert sorted(path.name for path in written.folder.iterdir()) == [
        "files.json",
        "plots",
        "report.html",
        "report.json",
        "scores.parquet",
    ]
    assert [path.name for path in written.folder.parent.iterdir()] == ["delays-1"]


def test_a_failure_leaves_the_report_that_was_there(report: dict[str, Any], table: pa.Table, tmp_path: Path) -> None:
    before = write(report, table, tmp_path / "r")
    spoiled = report | {"metrics": report["metrics"] | {"brier": {"value": float("nan"), "low": 0.0, "high": 1.0}}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(spoiled, table, tmp_path / "r")
    assert open_report(tmp_path / "r").document == json.loads(json.dumps(before.document))
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("name", ["report.json", "report.html", "scores.parquet", "plots/roc.svg"])
def test_a_changed_byte_is_found_and_named(report: dict[str, Any], table: pa.Table, tmp_path: Path, name: str) -> None:
    write(report, table, tmp_path / "r")
    path = tmp_path / "r" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(EvaluationError) as raised:
        open_report(tmp_path / "r")
    assert name in raised.value.findings[0].error or "not readable" in raised.value.findings[0].error


def test_a_missing_report_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="evaluate the model again"):
        open_report(tmp_path / "none")
