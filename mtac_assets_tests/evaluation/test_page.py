"""The page as a reader and a parser find it. How it looks was looked at; that it is whole and self-contained is held here."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from mtac_assets.evaluation.page import report_page, span, yaml_text

VOID = {"meta", "line", "path", "rect", "circle", "polygon", "br", "link", "img"}


class Whole(HTMLParser):
    """Fails on a tag that closes what is not open; collects text and references."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.references: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "srcset")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def page(report: dict[str, Any]) -> str:
    return report_page(report)


def test_the_page_is_whole_and_refers_to_nothing_outside(page: str) -> None:
    assert Whole(page).references == []
    assert not re.search(r"https?://|url\(|@import|<script", page)


def test_the_page_says_what_the_report_says(page: str, report: dict[str, Any]) -> None:
    words = " ".join(Whole(page).words)
    for said in (
        report["model_id"],
        report["fingerprint"],
        report["weights_digest"],
        report["test"]["digest"],
        f"{report['metrics']['log_loss']['value']:.3f}",
        "delays-0123456789ab",
        "SWF",
        "(missing)",
        "small",
        "No test row is a training or validation row",
    ):
        assert said in words, said


def test_words_of_the_recipe_are_text_and_not_markup(page: str) -> None:
    assert "Late &lt;or&gt; not?" in page
    assert "Late <or>" not in page


def test_it_is_readable_in_the_dark_and_on_paper(page: str) -> None:
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page


def test_an_overlap_and_an_undefined_metric_are_said_in_words(report: dict[str, Any]) -> None:
    undefined = {"value": None, "low": None, "high": None, "reason": "all 9 rows have the label 0"}
    metrics = report["metrics"] | {"roc_auc": undefined, "pr_auc": undefined}
    page = report_page(
        report | {"metrics": metrics, "curves": dict.fromkeys(report["curves"]), "overlap_rows": 4, "by_day": None}
    )
    words = " ".join(Whole(page).words)
    assert "4 test rows are training or validation rows." in words
    assert "No ROC or precision-recall curve: all 9 rows have the label 0." in words


def test_spans_of_days() -> None:
    assert span(["2013-01-01"]) == "2013-01-01"
    assert span(["2013-01-01", "2013-01-02"]) == "2013-01-01 to 2013-01-02 (2 days)"
    assert span([]) == "none"


def test_a_recipe_is_shown_as_yaml() -> None:
    assert yaml_text({"name": "x", "training": {"seed": 1}}) == "name: x\ntraining: {seed: 1}\n"
