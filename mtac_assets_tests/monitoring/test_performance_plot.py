"""The picture of live performance, from documents as `Performance.document()` makes them."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.monitoring.performance_plot import DATES, date_ticks, performance_picture
from mtac_assets.monitoring.state_looks import STATE_LOOKS

SVG = "{http://www.w3.org/2000/svg}"
STATES = ("OK", "OK", "WATCH", "ALARM", "INSUFFICIENT")


def _window(number: int, state: str, days: int = 4, loss: float = 0.5) -> dict[str, Any]:
    begin = date(2024, 1, 12) + timedelta(days=number * days)
    inside = [(begin + timedelta(days=n)).isoformat() for n in range(days)]
    return {
        "first": inside[0],
        "last": inside[-1],
        "state": state,
        "metrics": {"log_loss": {"value": loss, "low": loss - 0.03, "high": loss + 0.03}},
        "base_rate": 0.3,
        "by_day": [{"day": day, "log_loss": loss + 0.01} for day in inside],
    }


def _document(*windows: dict[str, Any]) -> dict[str, Any]:
    own = {"value": 0.5, "low": 0.48, "high": 0.52}
    reference = {"base_rate": 0.31, "validation": 0.51, "metrics": {"log_loss": own}}
    return {"model_id": "floods-0123456789ab", "state": "ALARM", "reference": reference, "windows": list(windows)}


def _chart(svg: str) -> ElementTree.Element:
    (group,) = ElementTree.fromstring(svg).findall(f"{SVG}g")
    return group[0]


def _all(chart: ElementTree.Element, css: str) -> list[ElementTree.Element]:
    return [each for each in chart.iter() if each.attrib.get("class") == css]


def _words(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_each_window_has_its_states_mark_its_interval_its_days_and_its_share() -> None:
    picture = performance_picture(_document(*(_window(n, state) for n, state in enumerate(STATES))))
    chart, words = _chart(picture), _words(picture)
    assert words[0] == "floods-0123456789ab: log loss on live labels (ALARM), less is better"
    for state, look in STATE_LOOKS.items():
        count = STATES.count(state)
        assert len(_all(chart, look.css)) == count
        assert f"{state} ({count})" in words
        for part, each in (("span", 1), ("whisker", 1), ("day", 4)):
            assert [one.attrib["d"].count("M") for one in _all(chart, f"{look.css} {part}")] == [each * count]
    assert [one.attrib["d"].count("M") for one in _all(chart, "share")] == [len(STATES)]
    assert {"its own test rows, with their interval", "its validation rows", "a day"} <= set(words)
    assert "2024-01-12" in words


def test_a_window_as_good_as_the_reference_lies_on_its_line_and_a_worse_one_above() -> None:
    chart = _chart(performance_picture(_document(_window(0, "OK", loss=0.5), _window(1, "ALARM", loss=0.7))))
    (own,) = [line for line in _all(chart, "normal") if float(line.attrib["y1"]) < 220]
    (mark,) = _all(chart, STATE_LOOKS["OK"].css)
    assert mark.attrib["cy"] == own.attrib["y1"]
    (alarm,) = _all(chart, STATE_LOOKS["ALARM"].css)
    assert max(float(corner.split(",")[1]) for corner in alarm.attrib["points"].split()) < float(own.attrib["y1"])
    (band,) = _all(chart, "within")
    top, height = float(band.attrib["y"]), float(band.attrib["height"])
    assert top < float(own.attrib["y1"]) < top + height


def test_windows_without_labels_and_documents_of_earlier_versions_are_drawn() -> None:
    open_window = _window(1, "INSUFFICIENT") | {"metrics": None, "base_rate": None, "by_day": []}
    document = _document(_window(0, "OK"), open_window)
    del document["reference"]["validation"]
    picture = performance_picture(document)
    assert _all(_chart(picture), STATE_LOOKS["INSUFFICIENT"].css) == []
    assert "its validation rows" not in _words(picture)
    assert "no window has labels yet" in _words(performance_picture(_document(open_window)))
    assert "no window has labels yet" in _words(performance_picture(_document()))


def test_two_years_of_weeks_are_small_and_always_the_same() -> None:
    document = _document(*(_window(n, STATES[n % 5], days=7) for n in range(104)))
    picture = performance_picture(document)
    assert len(picture) < 40_000
    assert picture == performance_picture(document)


@given(st.dates(date(1990, 1, 1), date(2050, 1, 1)), st.integers(0, 5000))
def test_dates_are_few_within_and_in_order(first: date, days: int) -> None:
    last = first + timedelta(days=days)
    ticks = date_ticks(first, last)
    assert 1 <= len(ticks) <= DATES
    assert first <= ticks[0]
    assert ticks[-1] <= last
    assert len({(b - a).days // 28 for a, b in pairwise(ticks)}) <= 2, "even steps"


@pytest.mark.parametrize(("days", "step"), [(8, 1), (15, 2), (60, 7), (100, 14)])
def test_few_days_are_told_by_days_or_weeks(days: int, step: int) -> None:
    ticks = date_ticks(date(2024, 2, 27), date(2024, 2, 27) + timedelta(days=days))
    assert {(b - a).days for a, b in pairwise(ticks)} == {step}
