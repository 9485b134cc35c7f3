"""Pins of constraints.txt that hold two parts together which pip alone would let break."""

from __future__ import annotations

import dagster as dg
from omegaconf import OmegaConf


def test_dagster_reads_a_selection_of_assets_beside_dvc() -> None:
    """Both parse by ANTLR: with the runtime that DVC's configuration library would bring, every selection fails."""
    import dvc.repo  # noqa: F401  with all that it imports

    assert OmegaConf.create({"first": "${second}", "second": 1}).first == 1

    @dg.asset
    def first() -> None: ...

    @dg.asset(deps=[first])
    def second() -> None: ...

    selected = dg.AssetSelection.from_string('key:"first"+ and not key:"first"')
    assert selected.resolve([first, second]) == {dg.AssetKey("second")}
