"""The leakage search: silent on honest views whatever the data, and loud on views, declarations and engines that leak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtac_assets.data.features_view import FeatureDefinition, LookupDefinition
from mtac_assets.data.leakage import find_leak

DAYS = [(date(2024, 1, 1) + timedelta(days=n)).isoformat() for n in range(6)]
EXAMINED = DAYS[4]
HOUR = 3_600_000_000


def late(rows: pd.DataFrame) -> pd.Series:
    return (rows["delay"] > 15).astype(float).where(rows["delay"].notna())


def honest(rows: pd.DataFrame, past, lookups) -> pd.DataFrame:
    weather = lookups["weather"].as_of(rows, ["origin"], ["rain"], max_age=timedelta(hours=8))
    return pd.DataFrame(
        {
            "rate": past.rates(["origin"], late, 3).mean,
            "delays": past.sums([], "delay", 3).total,
            "rain": weather["rain"].astype(float),
            "distance": rows["distance"],
        }
    )


TRUTH = FeatureDefinition(
    recipe="delays",
    rows="flights",
    view=honest,
    label=late,
    numeric=("rate", "delays", "rain", "distance"),
    categorical=(),
    slices=(),
    key=("time", "flight"),
    event_time="time",
    outcome_columns=("delay", "landed"),
    history_days=3,
    lookups=(LookupDefinition("weather", "time", timedelta(hours=1)),),
)


def tables(
    delays: list[int | None], rains: list[float | None], hours: list[int]
) -> Callable[[str, str], pa.Table | None]:
    """A store in memory: the same drawn values for every day, shifted by the day."""

    def read(dataset: str, key: str) -> pa.Table | None:
        if key not in DAYS:
            return None
        shift = DAYS.index(key)
        midnight = (date.fromisoformat(key) - date(1970, 1, 1)).days * 24 * HOUR
        if dataset == "weather":
            return pa.table(
                {
                    "time": pa.array([midnight + hour * HOUR for hour in range(24)], pa.timestamp("us", tz="UTC")),
                    "origin": ["JFK"] * 24,
                    "rain": pa.array([rains[(hour + shift) % len(rains)] for hour in range(24)], pa.float64()),
                }
            )
        return pa.table(
            {
                "time": pa.array([midnight + hour * HOUR for hour in sorted(hours)], pa.timestamp("us", tz="UTC")),
                "flight": list(range(len(hours))),
                "origin": ["JFK"] * len(hours),
                "distance": [100 + n for n in range(len(hours))],
                "delay": pa.array([delays[(n + shift) % len(delays)] for n in range(len(hours))], pa.int64()),
                "landed": [f"{n}:{shift}" for n in range(len(hours))],
            }
        )

    return read


USUAL = tables([0, 20, None, 40], [0.0, 1.5, None, 3.0], [6, 6, 9, 12, 18])


@settings(max_examples=15)
@given(
    delays=st.lists(st.one_of(st.none(), st.integers(-20, 200)), min_size=1, max_size=5),
    rains=st.lists(st.one_of(st.none(), st.floats(0, 50)), min_size=1, max_size=5),
    hours=st.lists(st.integers(0, 23), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_an_honest_view_never_moves(delays, rains, hours, seed: int) -> None:
    assert find_leak(TRUTH, tables(delays, rains, hours), EXAMINED, seed=seed) == ()


def leaked(definition: FeatureDefinition, **truth) -> set[str]:
    return {leak.column for leak in find_leak(definition, USUAL, EXAMINED, **truth)}


def with_view(view: Callable) -> FeatureDefinition:
    return replace(TRUTH, view=view)


def test_an_outcome_that_was_not_declared_is_found() -> None:
    def view(rows, past, lookups):
        return honest(rows, past, lookups).assign(distance=rows["delay"])

    careless = replace(with_view(view), outcome_columns=("landed",))
    assert leaked(careless, outcome_columns=("delay", "landed")) == {"distance"}


def test_an_outcome_in_words_is_found() -> None:
    def view(rows, past, lookups):
        return honest(rows, past, lookups).assign(
            distance=rows["landed"].str.len() * 0 + pd.to_numeric(rows["landed"].str[0])
        )

    careless = replace(with_view(view), outcome_columns=("delay",))
    assert leaked(careless, outcome_columns=("delay", "landed")) == {"distance"}


def test_a_record_declared_known_too_early_is_found() -> None:
    hasty = replace(TRUTH, lookups=(LookupDefinition("weather", "time", timedelta(0)),))
    assert leaked(hasty, known_after={"weather": timedelta(hours=1)}) == {"rain"}
    assert leaked(TRUTH, known_after={"weather": timedelta(hours=2)}) == {"rain"}


def test_reaching_behind_the_lookup_is_found() -> None:
    def view(rows, past, lookups):
        records = pd.concat(lookups["weather"]._frames.values())
        return honest(rows, past, lookups).assign(rain=float(records["rain"].sum()))

    assert leaked(with_view(view)) == {"rain"}


def test_a_history_that_was_told_the_day_itself_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine with an error of one day: the day's own complete rows reach the counts."""
    from mtac_assets.data.features_day import FeatureRun, to_frame

    def early(run: FeatureRun, day: int) -> None:
        for key in DAYS[1 : DAYS.index(EXAMINED) + 1]:
            number = (date.fromisoformat(key) - date(1970, 1, 1)).days - 1
            run._history.add(number, to_frame(run._read("flights", key)))

    monkeypatch.setattr(FeatureRun, "_tell_days_before", early)
    assert leaked(TRUTH) == {"rate", "delays"}


def test_a_finding_names_column_rows_and_cause() -> None:
    hasty = replace(TRUTH, lookups=(LookupDefinition("weather", "time", timedelta(0)),))
    (leak,) = find_leak(hasty, USUAL, EXAMINED, known_after={"weather": timedelta(hours=1)})
    finding = leak.finding(hasty)
    assert "rain changed in" in finding.error
    assert "weather" in finding.error
    assert finding.where == f"delays/{EXAMINED}"
