from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mtac_assets.tracking import progress
from mtac_assets.tracking.record import Point

NOON = datetime(2013, 7, 15, 12, tzinfo=UTC)


def test_every_number_of_a_line_is_a_metric_at_its_step() -> None:
    line = {"step": 40, "steps": 90, "epoch": 1, "loss": 0.5, "note": "x", "ok": True, "validation": {"roc_auc": 0.7}}
    assert progress.points(line, NOON) == [Point("loss", 0.5, 40, NOON), Point("validation/roc_auc", 0.7, 40, NOON)]


def test_a_line_that_tells_its_own_time_keeps_it() -> None:
    (point,) = progress.points({"step": 1, "loss": 1, "time": "2013-07-15T11:00:00+00:00"}, NOON)
    assert point.at == NOON.replace(hour=11)


def test_lines_are_sent_once_whole_and_only_those_of_this_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "POLL_SECONDS", 0.02)
    path = tmp_path / "progress.jsonl"
    path.write_text('{"step": 1, "loss": 9}\n')
    sent: list[Point] = []
    with progress.follow(path, sent.extend), path.open("a") as stream:
        for step in range(2, 6):
            text = json.dumps({"step": step, "loss": 1 / step}) + "\n"
            stream.write(text[:9])
            stream.flush()
            time.sleep(0.05)
            stream.write(text[9:])
            stream.flush()
        stream.write('{"step": 6, "lo')
    assert [(point.step, point.value) for point in sent] == [(step, 1 / step) for step in range(2, 6)]


def test_the_last_lines_are_sent_when_the_training_fails(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    sent: list[Point] = []

    def failing() -> None:
        with progress.follow(path, sent.extend):
            path.write_text('{"step": 1, "loss": NaN}\n')
            raise ValueError

    with pytest.raises(ValueError):
        failing()
    assert [point.name for point in sent] == ["loss"]
