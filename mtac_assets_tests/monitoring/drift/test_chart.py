from __future__ import annotations

import io
from pathlib import Path

import pytest
from matplotlib.image import imread

from mtac_assets.evaluation.plots import LARGEST
from mtac_assets.monitoring.drift.chart import draw, sentence
from mtac_assets.monitoring.drift.judge import judge
from mtac_assets.monitoring.drift.store import record, verdicts
from mtac_assets.spec.errors import MtacError


def test_a_row_of_days_becomes_one_small_picture(world, tmp_path: Path) -> None:
    for n in range(28, 56):
        rows = world.day(900 + n, 20 if n == 40 else 300, shift=0.8 * (n > 50))
        verdict = judge(world.reference, [world.block(n, rows)], world.trigger)
        record(tmp_path, verdict, world.trigger.persistence)
    documents = verdicts(tmp_path)
    assert [one["state"] for one in documents][-5:] == ["WATCH", "ALARM", "ALARM", "ALARM", "ALARM"]
    assert sentence(documents[-1]).startswith("ALARM: shift of plain 0.")
    assert sentence(documents[12]) == "INSUFFICIENT: 20 rows, fewer than the 50 of min_rows"
    picture = draw(documents, "Drift of tides")
    assert len(picture) < LARGEST
    assert imread(io.BytesIO(picture))[..., :3].std() > 0.02
    assert draw(documents, "Drift of tides") == picture


def test_one_window_of_which_nothing_is_known_can_be_drawn(world) -> None:
    verdict = judge(world.reference, [world.block(1, world.day(1, 3))], world.trigger)
    assert draw([verdict.document("INSUFFICIENT")]).startswith(b"\x89PNG")
    with pytest.raises(MtacError, match="no verdict to draw"):
        draw([])
