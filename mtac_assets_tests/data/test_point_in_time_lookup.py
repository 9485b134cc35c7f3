"""Lookup: the latest record strictly known before the row's event time, as a search through all records finds it."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.data.point_in_time_codes import PointInTimeError, nanoseconds
from mtac_assets.data.point_in_time_lookup import Lookup

DAY = 15_000
MIDNIGHT = pd.Timestamp("1970-01-01", tz="UTC") + pd.Timedelta(days=DAY)


def at(hour: float) -> pd.Timestamp:
    return MIDNIGHT + pd.Timedelta(hours=hour)


def records(content: list[tuple[float, str | None, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "time": pd.Series([at(hour) for hour, _, _ in content], dtype="datetime64[us, UTC]"),
            "origin": pd.Series([origin for _, origin, _ in content], dtype=object),
            "temp": pd.Series([temp for *_, temp in content], dtype=float),
        }
    )


def lookup(today: list, rows: pd.DataFrame, before: list = (), known_after: float = 1.0) -> Lookup:
    frames = {DAY: records(list(today)), DAY - 1: records(list(before))}
    held = {day: frame for day, frame in frames.items() if len(frame)}
    return Lookup("weather", held, "time", timedelta(hours=known_after), DAY, 2, nanoseconds(rows["time"]))


def rows_at(content: list[tuple[float, str | None]]) -> pd.DataFrame:
    return records([(hour, origin, 0.0) for hour, origin in content])[["time", "origin"]]


def temperatures(found: pd.DataFrame) -> list[float | None]:
    return [None if np.isnan(value) else value for value in found["temp"].astype(float)]


hours = st.integers(-24, 23)
origins = st.sampled_from(["JFK", "LGA", None])


@settings(max_examples=80)
@given(
    content=st.lists(st.tuples(hours, origins), max_size=12, unique=True),
    asked=st.lists(st.tuples(st.integers(0, 23), origins), min_size=1, max_size=6),
    known_after=st.integers(0, 3),
    max_age=st.integers(1, 24),
    before=st.integers(0, 4),
)
def test_it_finds_what_a_search_finds(content, asked, known_after: int, max_age: int, before: int) -> None:
    filled = [(hour, origin, float(n)) for n, (hour, origin) in enumerate(content)]
    rows = rows_at(asked)
    found = lookup([r for r in filled if r[0] >= 0], rows, [r for r in filled if r[0] < 0], known_after).as_of(
        rows, by=["origin"], columns=["temp"], max_age=timedelta(hours=max_age), before=timedelta(hours=before)
    )
    expected = []
    for hour, origin in asked:
        usable = [
            (when, temp)
            for when, where, temp in filled
            if where == origin and origin is not None and when + known_after < hour - before and hour - when <= max_age
        ]
        expected.append(max(usable)[1] if usable else None)
    assert temperatures(found) == expected


def test_known_at_the_very_moment_is_not_known_before() -> None:
    rows = rows_at([(10, "JFK")])
    weather = lookup([(8, "JFK", 8.0), (9, "JFK", 9.0)], rows)
    assert temperatures(weather.as_of(rows, ["origin"], ["temp"], timedelta(hours=6))) == [8.0]


def test_a_view_cannot_ask_in_the_name_of_a_later_moment() -> None:
    rows = rows_at([(10, "JFK"), (12, "JFK")])
    weather = lookup([(hour, "JFK", float(hour)) for hour in range(24)], rows)
    doctored = rows.assign(time=at(23)).iloc[::-1]
    assert temperatures(weather.as_of(doctored, ["origin"], ["temp"], timedelta(hours=6))) == [10.0, 8.0]


def test_a_null_of_the_record_stays_null() -> None:
    rows = rows_at([(10, "JFK")])
    weather = lookup([(7, "JFK", 7.0), (8, "JFK", float("nan"))], rows)
    assert temperatures(weather.as_of(rows, ["origin"], ["temp"], timedelta(hours=6))) == [None]


def test_without_any_records_all_is_null() -> None:
    rows = rows_at([(10, "JFK"), (11, "LGA")])
    found = lookup([], rows).as_of(rows, ["origin"], ["temp"], timedelta(hours=6))
    assert temperatures(found) == [None, None]


def test_two_records_of_one_moment_are_refused() -> None:
    rows = rows_at([(10, "JFK")])
    weather = lookup([(7, "JFK", 1.0), (7, "LGA", 2.0)], rows)
    with pytest.raises(PointInTimeError, match="two records of the same moment"):
        weather.as_of(rows, [], ["temp"], timedelta(hours=6))


def test_an_unknown_column_is_named() -> None:
    rows = rows_at([(10, "JFK")])
    with pytest.raises(PointInTimeError, match="no column wind"):
        lookup([(7, "JFK", 1.0)], rows).as_of(rows, ["origin"], ["wind"], timedelta(hours=6))


@pytest.mark.parametrize(
    ("max_age", "before"),
    [(timedelta(0), timedelta(0)), (timedelta(days=3), timedelta(0)), (timedelta(hours=1), timedelta(hours=-1))],
)
def test_spans_out_of_range_are_refused(max_age: timedelta, before: timedelta) -> None:
    rows = rows_at([(10, "JFK")])
    with pytest.raises(PointInTimeError, match="max_age"):
        lookup([(7, "JFK", 1.0)], rows).as_of(rows, ["origin"], ["temp"], max_age, before)


def test_an_event_time_may_not_be_null() -> None:
    with pytest.raises(PointInTimeError, match="1 of 2 rows have no time"):
        nanoseconds(pd.Series([at(1), pd.NaT], name="time"))
