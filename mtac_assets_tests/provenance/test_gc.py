"""Clean-up: what is needed stays whole, what goes is said before."""

from __future__ import annotations

from typing import Any

import pytest

from mtac_assets.provenance import ledger, refs
from mtac_assets.provenance.gc import GarbageError, collect, find_garbage
from mtac_assets.provenance.verify import verify_all


def promote(shop: Any, model_id: str) -> None:
    ledger.append(shop.project, "local", kind="promote", recipe="demand", model_id=model_id, actor="ada", reason="")


@pytest.fixture
def three(stocked: Any) -> tuple[Any, list[str]]:
    return stocked, [stocked.record(f"training.seed={seed}", weights=b"weights %d" % seed) for seed in (1, 2, 3)]


def test_champions_and_the_newest_stay_whole_and_the_rest_goes(three: tuple[Any, list[str]]) -> None:
    shop, (first, second, third) = three
    promote(shop, first)
    garbage = find_garbage(shop.project, keep_newest=1)
    assert set(garbage.models) == {second}
    assert garbage.kept == {first: "the ledger names it", third: "one of the newest 1 of demand"}
    assert len(garbage.objects) == 2  # its weights and its checkpoint; data and report are needed by others
    assert garbage.bytes > 0
    assert refs.model_ids(shop.project) == sorted([first, second, third])  # nothing went yet
    collect(shop.project, garbage)
    assert refs.model_ids(shop.project) == sorted([first, third])
    assert verify_all(shop.project) == {first: [], third: []}
    assert not (shop.project.state.models / second).exists()


def test_scores_and_verdicts_go_with_their_model_and_stay_with_it(three: tuple[Any, list[str]]) -> None:
    shop, (first, second, third) = three
    state = shop.project.state
    promote(shop, first)
    for model_id in (first, second, third, "demand-0123456789ab"):  # the last one was collected by a gc that was killed
        for parent in (state.predictions, state.drift):
            folder = parent / "demand" / model_id
            folder.mkdir(parents=True)
            (folder / "2024-01-01.json").write_bytes(b"{}")
    before = find_garbage(shop.project, keep_newest=1)
    collect(shop.project, before)
    for parent in (state.predictions, state.drift):
        assert {folder.name for folder in (parent / "demand").iterdir()} == {first, third}
    again = find_garbage(shop.project, keep_newest=1)
    assert (again.models, again.folders, again.bytes) == ({}, (), 0)


def test_a_model_promoted_meanwhile_is_not_collected(three: tuple[Any, list[str]]) -> None:
    shop, (first, _, _) = three
    garbage = find_garbage(shop.project, keep_newest=1)
    promote(shop, first)
    with pytest.raises(GarbageError, match=first):
        collect(shop.project, garbage)
    assert len(refs.model_ids(shop.project)) == 3
    assert all(path.is_file() for path in garbage.objects)
