from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mtac_assets.spec import clock


def test_the_clock_is_the_systems_fixed_or_shifted(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting, expected in (("", timedelta()), ("+86400", timedelta(days=1)), ("-3600", timedelta(hours=-1))):
        monkeypatch.setenv(clock.CLOCK_VARIABLE, setting)
        assert abs(clock.now() - datetime.now(UTC) - expected) < timedelta(seconds=5)
    monkeypatch.setenv(clock.CLOCK_VARIABLE, "2013-03-01T01:00:00+01:00")
    assert clock.now() == datetime(2013, 3, 1, tzinfo=UTC)


def test_a_clock_without_an_offset_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.CLOCK_VARIABLE, "2013-03-01T00:00:00")
    with pytest.raises(ValueError, match="UTC offset"):
        clock.now()
