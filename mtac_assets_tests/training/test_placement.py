"""Weights that no worker holds whole: the same bits as on one worker, from less memory, in real processes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from mtac_assets.training.errors import TrainingRefused
from mtac_assets.training.models import gpt
from mtac_assets.training.pack import Pack
from mtac_assets.training.preflight.memory import dry_run, estimate
from mtac_assets.training.state import TrainingState
from mtac_assets.training.tokens import TokenSchema
from mtac_assets_tests.training.tiny_set import Job
from mtac_assets_tests.training.tiny_tokens import LANGUAGE_RECIPE
from mtac_assets_tests.training.tiny_workers import documents, train

WAYS: dict[str, dict[str, Any]] = {
    "bfloat16": {},
    "float32, pieces cut": {"training": {"precision": "float32"}, "more": {"elements": 512}},
    "muon": {"training": {"optimizer": "muon"}},
    "a head of its own": {"settings": {"tied_head": False, "layers": 3}},
}


def job(folder: Path, tokens: Path, way: str, **more: Any) -> Job:
    settings = WAYS[way]
    made = Job(folder / "out", tokens, folder, recipe=copy.deepcopy(LANGUAGE_RECIPE))
    made = made.training(ema_decay=None, **settings.get("training", {}))
    made = made.model("gpt", **LANGUAGE_RECIPE["model"]["settings"] | settings.get("settings", {}))
    return made.changed(more=settings.get("more", {}) | more)


@pytest.mark.parametrize(("way", "workers"), [("bfloat16", 2), ("float32, pieces cut", 4)])
def test_sharded_workers_give_the_bits_of_one(root: Path, tokens: Path, tmp_path: Path, way: str, workers: int) -> None:
    packs = []
    for count, sharded in ((1, False), (workers, True)):
        one = job(tmp_path / str(count), tokens, way, sharded=sharded)
        train(one, count, root)
        packs.append(documents(one.out))
    assert packs[0] == packs[1], "digests of weights and of every segment, losses, golden rows"


@pytest.mark.slow
@pytest.mark.parametrize("way", ["muon", "a head of its own"])
@pytest.mark.parametrize("workers", [2, 8])
def test_whatever_the_recipe_asks_for(root: Path, tokens: Path, tmp_path: Path, way: str, workers: int) -> None:
    test_sharded_workers_give_the_bits_of_one(root, tokens, tmp_path, way, workers)


@pytest.mark.slow
def test_a_sharded_run_is_taken_up_by_one_worker_and_the_other_way_round(
    root: Path,
    tokens: Path,
    tmp_path: Path,
) -> None:
    whole = job(tmp_path / "whole", tokens, "bfloat16")
    train(whole, 1, root)
    fault = {"kind": "signal_after_step", "step": 6, "signal": "SIGTERM", "worker": 0}
    for first, then in (((2, True), (1, False)), ((1, False), (2, True))):
        out = tmp_path / f"{first[0]}"
        begun = job(out, tokens, "bfloat16", sharded=first[1], fault=fault)
        train(begun, first[0], root, expect=75)
        train(job(out, tokens, "bfloat16", sharded=then[1]).changed(resume=True), then[0], root)
        assert documents(begun.out) == documents(whole.out)
        assert Pack.open(begun.out).document("training")["resumed_at"] == 6


def test_a_worker_holds_its_share_and_the_estimate_knows_it() -> None:
    """Two layers of twelve are whole at once at most; weights and state are parted."""
    schema = TokenSchema(512, 32, 0, {})
    settings = {"layers": 12, "heads": 4, "width": 256}
    training = _training()
    replicated = estimate(schema, settings, training, 4)
    sharded = estimate(schema, settings, training, 4, sharded=True)
    assert sharded.weights == pytest.approx(replicated.weights / 4, rel=0.01)
    assert sharded.peak < 0.6 * replicated.peak
    exact = dry_run(schema, settings, training, 4, sharded=True)
    assert max(exact.learning, exact.updating) == pytest.approx(sharded.peak, rel=0.05)


def test_between_uses_the_weights_take_no_memory() -> None:
    schema = TokenSchema(64, 16, 0, {})
    model = gpt.build(schema, {"layers": 3, "heads": 2, "width": 32})
    model.initialise(1)
    state = TrainingState(model, _training(), sharded=True)
    assert [storage.nbytes() for storage in state.placement.storages()] == [0, 0, 0, 0]
    with state.placement.usable(), torch.inference_mode():
        model(torch.zeros(1, 4, dtype=torch.long))
    assert sum(storage.nbytes() for storage in state.placement.storages()) == 0


@pytest.mark.parametrize("setting", [{"ema_decay": 0.9}, {"compile": True}])
def test_what_needs_all_weights_at_once_is_refused_by_name(setting: dict[str, Any]) -> None:
    model = gpt.build(TokenSchema(64, 16, 0, {}), {"layers": 1, "heads": 2, "width": 32})
    with pytest.raises(TrainingRefused, match=rf"training\.{next(iter(setting))} needs all weights") as refused:
        TrainingState(model, _training(**setting), sharded=True)
    (finding,) = refused.value.findings
    assert "launcher.sharded: false" in finding.expected


def _training(**settings: Any) -> Any:
    from mtac_assets.spec.language import LanguageRecipe

    document = copy.deepcopy(LANGUAGE_RECIPE)
    document["training"] |= {
        "ema_decay": None,
        "precision": "float32",
        "batch_size": 8,
        "micro_batch_size": 2,
        **settings,
    }
    return LanguageRecipe.model_validate(document, strict=False).training
