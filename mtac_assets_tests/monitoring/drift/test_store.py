from __future__ import annotations

from pathlib import Path

import pytest

from mtac_assets.monitoring.drift.rows import DriftError
from mtac_assets.monitoring.drift.store import record, verdicts
from mtac_assets.monitoring.drift.verdict import DriftVerdict


def verdict(*days: int, drifted: bool | None = True) -> DriftVerdict:
    return DriftVerdict(
        tuple(f"2024-01-{day:02d}" for day in days), drifted, 100, None if drifted is not None else "few"
    )


def test_persistence_counts_days_by_their_key_whenever_they_were_judged(tmp_path: Path) -> None:
    assert record(tmp_path, verdict(1, drifted=False), 2)["state"] == "OK"
    assert record(tmp_path, verdict(3), 2)["state"] == "WATCH"
    assert record(tmp_path, verdict(2), 2)["state"] == "WATCH"
    assert record(tmp_path, verdict(3), 2)["state"] == "ALARM"  # judged again, now that the day before is there
    assert record(tmp_path, verdict(3), 2)["state"] == "ALARM"
    assert record(tmp_path, verdict(4, drifted=None), 2)["state"] == "INSUFFICIENT"
    assert record(tmp_path, verdict(5), 2)["state"] == "ALARM"
    assert [one["state"] for one in verdicts(tmp_path)] == ["OK", "WATCH", "ALARM", "INSUFFICIENT", "ALARM"]


def test_windows_that_overlap_are_not_windows_in_a_row(tmp_path: Path) -> None:
    states = [record(tmp_path, verdict(day, day + 1, day + 2), 2)["state"] for day in range(1, 6)]
    assert states == ["WATCH", "WATCH", "WATCH", "ALARM", "ALARM"]
    deep = [record(tmp_path / "b", verdict(day, day + 1, day + 2), 3)["state"] for day in range(1, 9)]
    assert deep == ["WATCH"] * 6 + ["ALARM"] * 2


def test_a_verdict_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "2024-01-01.json").write_text('{"schema_version": 99}')
    with pytest.raises(DriftError, match="not a drift verdict"):
        record(tmp_path, verdict(2), 1)
