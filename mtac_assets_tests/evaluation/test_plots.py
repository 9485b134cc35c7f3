from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.image import imread

from mtac_assets.evaluation.plots import LARGEST, draw_all


def test_every_plot_is_a_small_picture(report: dict[str, Any], tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    drawn = draw_all(report, tmp_path)
    assert drawn == ["metrics.png", "calibration.png", "roc.png", "pr.png", "by_day.png"]
    for name in drawn:
        assert (tmp_path / name).stat().st_size < LARGEST
        assert imread(tmp_path / name)[..., :3].std() > 0.02  # something is drawn
    assert dict(mpl.rcParams) == before


def test_what_has_no_data_is_not_drawn(report: dict[str, Any], tmp_path: Path) -> None:
    bare = report | {"curves": dict.fromkeys(report["curves"]), "by_day": None}
    assert draw_all(bare, tmp_path) == ["metrics.png", "calibration.png"]


@pytest.mark.parametrize("name", ["metrics", "calibration"])
def test_the_same_report_gives_the_same_picture(report: dict[str, Any], tmp_path: Path, name: str) -> None:
    bare = report | {"curves": {}, "by_day": None}
    draw_all(bare, tmp_path / "a")
    draw_all(bare, tmp_path / "b")
    assert (tmp_path / "a" / f"{name}.png").read_bytes() == (tmp_path / "b" / f"{name}.png").read_bytes()
