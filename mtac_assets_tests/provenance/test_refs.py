"""Reading models back: newest first, by unique beginnings, with an error that helps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mtac_assets.provenance import ledger, refs
from mtac_assets.provenance.refs import UnknownModelError
from mtac_assets.spec import clock


@pytest.fixture
def two(stocked: Any) -> tuple[Any, str, str]:
    try:
        clock.set_clock(lambda: datetime(2024, 3, 1, tzinfo=UTC))
        older = stocked.record()
        clock.set_clock(lambda: datetime(2024, 3, 2, tzinfo=UTC))
        newer = stocked.record("training.seed=2")
    finally:
        clock.set_clock(None)
    return stocked, older, newer


def test_models_are_listed_newest_first_with_what_the_message_says(two: tuple[Any, str, str]) -> None:
    shop, older, newer = two
    listed = refs.list_models(shop.project)
    assert [summary.model_id for summary in listed] == [newer, older]
    assert [summary.status for summary in listed] == ["candidate", "candidate"]
    document = listed[0].document()
    assert document["recipe"] == "demand"
    assert document["as_of"] == "2024-02-01"
    assert document["metrics"]["roc_auc"]["value"] == 0.7
    assert refs.list_models(shop.project, "other") == []


def test_status_comes_from_the_ledger(two: tuple[Any, str, str]) -> None:
    shop, older, newer = two
    for model_id in (older, newer):
        ledger.append(shop.project, "local", kind="promote", recipe="demand", model_id=model_id, actor="ada", reason="")
    assert [summary.status for summary in refs.list_models(shop.project)] == ["champion", "archived"]


def test_unique_beginnings_are_accepted(two: tuple[Any, str, str]) -> None:
    shop, older, _ = two
    digits = older.rpartition("-")[2]
    for beginning in (older, older[:-3], digits, digits[:9]):
        assert refs.resolve_id(shop.project, beginning) == older


@pytest.mark.parametrize(
    ("beginning", "message"), [("demand-", "any of 2 models"), ("nothing", "no model is called"), ("", "2 models")]
)
def test_unknown_and_ambiguous_ids_are_refused_with_candidates(
    two: tuple[Any, str, str], beginning: str, message: str
) -> None:
    with pytest.raises(UnknownModelError, match=message):
        refs.resolve_id(two[0].project, beginning)


def test_a_near_miss_is_suggested(two: tuple[Any, str, str]) -> None:
    shop, older, _ = two
    wrong = older[:-1] + ("0" if older[-1] != "0" else "1")
    with pytest.raises(UnknownModelError, match=older):
        refs.find_model(shop.project, wrong)


def test_a_deleted_reference_is_unknown(two: tuple[Any, str, str]) -> None:
    shop, older, _ = two
    shop.git("update-ref", "-d", refs.MODELS + older)
    with pytest.raises(UnknownModelError):
        refs.read_model_file(shop.project, older, "recipe.json")


def test_a_reference_that_is_no_model_is_passed_over(two: tuple[Any, str, str]) -> None:
    shop, _, _ = two
    shop.git("update-ref", refs.MODELS + "stray", "HEAD")
    assert len(refs.list_models(shop.project)) == 2
