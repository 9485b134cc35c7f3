from __future__ import annotations

import copy
from typing import Any

from mtac_assets.evaluation.compared import compare_report


def test_the_pages_headline_is_that_of_the_paired_comparison(report: dict[str, Any]) -> None:
    comparisons = copy.deepcopy(report["comparison"]["metrics"])
    for (low, high), headline in {
        (0.1, 0.2): "A is better",
        (-0.2, -0.1): "B is better",
        (-0.1, 0.1): "Not told apart",
    }.items():
        comparisons["log_loss"] |= {"low": low, "high": high}
        assert f"<h2>{headline}</h2>" in compare_report(report, report, comparisons=comparisons)


def test_other_test_rows_are_said_to_be_so(report: dict[str, Any]) -> None:
    other = report | {"test": report["test"] | {"digest": "99" * 32}}
    assert "Tested on different rows" in compare_report(report, other)
    assert "Tested on the same rows" in compare_report(report, report)


def test_what_differs_is_listed_leaf_by_leaf(report: dict[str, Any]) -> None:
    other = copy.deepcopy(report)
    other["recipe_document"]["training"]["seed"] = 2
    other["slices"] = other["slices"][1:]
    page = compare_report(report, other)
    assert "recipe: training.seed" in page
    assert "recipe: name" not in page


def test_what_mtac_diff_found_is_shown(report: dict[str, Any]) -> None:
    difference = {
        "recipe": [{"leaf": "recipe.training.epochs", "old": "3", "new": "4"}],
        "environment": [],
        "data": [
            {"dataset": "tides", "added": ["x"], "removed": [], "changed": [], "rows_old": 1000, "rows_new": 1200}
        ],
        "code": [{"file": "features.py", "text": "-old line\n+new line"}],
    }
    page = compare_report(report, report, difference=difference)
    for text in ("training.epochs", "tides", "1,200", "features.py", "+new line"):
        assert text in page
