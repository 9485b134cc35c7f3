from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.evaluation.backtest import backtest_report, write_backtest
from mtac_assets.evaluation.errors import EvaluationError


@pytest.fixture
def rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    row = {"metrics": report["metrics"], "baselines": report["baselines"], "test_rows": 1200}
    return [
        {**copy.deepcopy(row), "as_of": f"2013-0{month}-01", "model_id": f"delays-{month:012d}"} for month in (3, 4, 5)
    ]


def test_every_date_and_the_means_are_on_the_page(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    values = [0.6, 0.7, 0.8]
    for row, value in zip(rows, values, strict=True):
        row["metrics"]["roc_auc"] = {"value": value, "low": value - 0.1, "high": value + 0.1}
    page = write_backtest(rows, tmp_path / "backtests" / "delays.html", title="delays").read_text()
    for said in ("2013-03-01", "2013-04-01", "2013-05-01", "delays-000000000004", "0.7000"):
        assert said in page


def test_a_date_without_a_value_leaves_the_mean_undefined_and_a_gap(rows: list[dict[str, Any]]) -> None:
    rows[1]["metrics"]["roc_auc"] = {"value": None, "low": None, "high": None, "reason": "all 9 rows have the label 0"}
    page = backtest_report(rows, title="delays")
    assert "undefined" in page
    assert "all 9 rows have the label 0" in page


def test_no_dates_are_no_backtest() -> None:
    with pytest.raises(EvaluationError, match="without as-of dates"):
        backtest_report([], title="delays")
