from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.report import compare_reports, open_report, write_report


@pytest.fixture
def table(held_out: Any, scores: Any) -> pa.Table:
    _, test = held_out
    unit = np.unique(test.days, return_inverse=True)[1]
    model = (scores["hist_gradient_boosting"] + scores["logistic_regression"]) / 2
    return pa.table({"label": test.labels.astype(np.int8), "unit": unit, "model": model, **scores})


def test_a_report_is_read_back_as_written(report: dict[str, Any], table: pa.Table, tmp_path: Path) -> None:
    written = write_report(report, table, tmp_path / "reports" / "delays-1")
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
    before = write_report(report, table, tmp_path / "r")
    spoiled = report | {"metrics": report["metrics"] | {"brier": {"value": float("nan"), "low": 0.0, "high": 1.0}}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(spoiled, table, tmp_path / "r")
    assert open_report(tmp_path / "r").document == json.loads(json.dumps(before.document))
    assert [path.name for path in tmp_path.iterdir()] == ["r"]


@pytest.mark.parametrize("name", ["report.json", "report.html", "scores.parquet", "plots/roc.png"])
def test_a_changed_byte_is_found_and_named(report: dict[str, Any], table: pa.Table, tmp_path: Path, name: str) -> None:
    write_report(report, table, tmp_path / "r")
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


def test_two_models_evaluated_apart_are_compared_from_their_scores(
    report: dict[str, Any], table: pa.Table, tmp_path: Path
) -> None:
    a = write_report(report, table, tmp_path / "a")
    other = table.set_column(table.column_names.index("model"), "model", table["logistic_regression"])
    b = write_report(report, other, tmp_path / "b")
    assert (
        compare_reports(a, b, "log_loss").document()
        == report["baseline_comparisons"]["logistic_regression"]["log_loss"]
    )


def test_models_tested_on_other_rows_are_not_compared(report: dict[str, Any], table: pa.Table, tmp_path: Path) -> None:
    a = write_report(report, table, tmp_path / "a")
    b = write_report(report | {"test": report["test"] | {"digest": "99" * 32}}, table, tmp_path / "b")
    with pytest.raises(EvaluationError, match="the test rows differ"):
        compare_reports(a, b, "log_loss")
