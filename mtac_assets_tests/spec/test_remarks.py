"""What is sound and yet worth a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtac_assets.spec.load import check_recipe
from mtac_assets.spec.project import find_project
from mtac_assets.spec.recipe import ChampionGate
from mtac_assets.spec.remarks import remarks


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (ChampionGate(metric="log_loss"), ["gates.champion"]),
        (ChampionGate(metric="log_loss", seed_deviation=0.001), []),
        (ChampionGate(metric="log_loss", min_effect=0.002), []),
        (None, []),
    ],
)
def test_a_gate_that_knows_nothing_of_seeds_is_remarked(
    root: Path, gate: ChampionGate | None, expected: list[str]
) -> None:
    shipped = check_recipe(find_project(root), "flight_delays")
    recipe = shipped.model_copy(update={"gates": shipped.gates.model_copy(update={"champion": gate})})
    assert [remark.where for remark in remarks(recipe)] == expected
    assert all("mtac seeds flight_delays" in remark.text for remark in remarks(recipe))
