from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mtac_assets.monitoring.drift import reference as reference_module
from mtac_assets.monitoring.drift.judge import judge
from mtac_assets.monitoring.drift.reference import Block, build, open_reference, save
from mtac_assets.monitoring.drift.rows import DriftError, Rows
from mtac_assets.spec.recipe import DriftTrigger


def test_a_stored_reference_judges_as_the_built_one(world, tmp_path: Path) -> None:
    path = tmp_path / "a" / "reference.drift"
    digest = save(world.reference, path)
    again = open_reference(path)
    assert again.digest == digest == world.reference.digest
    window = [world.block(70, world.day(70, shift=0.4))]
    assert judge(again, window, world.trigger).document() == judge(world.reference, window, world.trigger).document()
    first = path.read_bytes()
    save(again, path)
    assert path.read_bytes() == first
    assert [item.name for item in path.parent.iterdir()] == ["reference.drift"]


def test_what_it_was_built_of_is_part_of_it(world, tmp_path: Path) -> None:
    blocks = [world.block(n) for n in range(3)]
    reference = build(blocks, {"model_id": "tides-0123"})
    save(reference, tmp_path / "r.drift")
    assert open_reference(tmp_path / "r.drift").about == {"model_id": "tides-0123"}
    assert reference.digest != build(blocks).digest != build(blocks[:2]).digest


@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 0.99])
def test_a_damaged_reference_is_refused(world, tmp_path: Path, at: float) -> None:
    path = tmp_path / "r.drift"
    save(world.reference, path)
    whole = path.read_bytes()
    place = int(len(whole) * at)
    path.write_bytes(whole[:place] + bytes(byte ^ 0x55 for byte in whole[place : place + 60]) + whole[place + 60 :])
    with pytest.raises(DriftError, match="damaged"):
        open_reference(path)
    path.write_bytes(whole[:place])
    with pytest.raises(DriftError, match="damaged"):
        open_reference(path)


def test_a_reference_of_another_schema_or_of_no_file_is_refused(
    world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.drift"
    with monkeypatch.context() as newer:
        newer.setattr(reference_module, "SCHEMA_VERSION", 2)
        save(world.reference, path)
    with pytest.raises(DriftError, match="schema version 2"):
        open_reference(path)
    with pytest.raises(DriftError, match="no such file"):
        open_reference(tmp_path / "none.drift")


def test_blocks_without_rows_are_no_history(world) -> None:
    empty = Block("x", world.day(1, 0))
    assert build([world.block(0), empty, world.block(1)]).keys == build([world.block(0), world.block(1)]).keys
    with pytest.raises(DriftError, match="no block has rows"):
        build([empty])


def test_blocks_of_different_columns_are_refused(world) -> None:
    rows = world.day(1)
    fewer = Rows({}, rows.categorical, rows.score, rows.raw)
    with pytest.raises(DriftError, match="no column base"):
        build([world.block(0), world.block(1, fewer)])
    with pytest.raises(DriftError, match="no column word"):
        build([world.block(0), world.block(1, replace(rows, categorical={}))])
    with pytest.raises(DriftError, match="not in the reference"):
        build([world.block(0, fewer), world.block(1)])


def test_the_calendar_is_used_where_every_slot_has_history(world) -> None:
    assert build([world.block(n, slot=n % 7) for n in range(28)]).by_calendar
    assert not build([world.block(n, slot=n % 7) for n in range(27)]).by_calendar
    assert not build([world.block(n) for n in range(28)]).by_calendar


def test_of_many_columns_the_closest_pairs_are_watched(tmp_path: Path) -> None:
    def day(seed: int) -> Block:
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(200, 60)).astype(np.float32)
        x[:, 59] = x[:, 3] + 0.3 * x[:, 59]
        return Block(f"{seed:03d}", Rows({f"x{n:02d}": x[:, n] for n in range(60)}))

    reference = build([day(seed) for seed in range(25)])
    first, second = reference.layout.pairs
    assert len(first) == reference.sketches.products.shape[1] == 1000
    assert (3, 59) in zip(first.tolist(), second.tolist(), strict=True)
    save(reference, tmp_path / "r.drift")
    window = day(99)
    torn = Block("x", Rows({**window.rows.numeric, "x59": window.rows.numeric["x59"][::-1]}))
    verdict = judge(open_reference(tmp_path / "r.drift"), [torn], DriftTrigger(resamples=300))
    assert [(one.component.kind, str(one.component.column)) for one in verdict.drivers] == [("correlation", "x03")]
    assert verdict.method is not None
    assert verdict.method["correlations"] == [1000, 1770]
