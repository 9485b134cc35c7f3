"""The flights recipe's own view on real days: what the columns mean, that they do not know the future, and that they are stable."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from mtac_assets.data.content import content_digest
from mtac_assets.data.features_day import FeatureRun
from mtac_assets.data.features_view import FeatureDefinition, load_definition
from mtac_assets.data.ingest import ingest
from mtac_assets.data.leakage import find_leak
from mtac_assets.data.partitions import read_table
from mtac_assets.spec.load import load_recipe

DAYS = [date(2013, 3, n).isoformat() for n in range(1, 13)]
EXAMINED = DAYS[9]


@pytest.fixture(scope="module")
def read(flights_project):
    """The store: twelve days of both datasets."""
    for dataset in ("nyc_flights", "nyc_weather"):
        assert not ingest(flights_project, dataset, DAYS).failed

    def read(dataset: str, key: str):
        return read_table(flights_project.state.data, dataset, key) if key in DAYS else None

    return read


@pytest.fixture(scope="module")
def definition(flights_project) -> FeatureDefinition:
    return load_definition(flights_project, load_recipe(flights_project, "flight_delays", as_of=date(2013, 4, 1)))


@pytest.fixture(scope="module")
def day(definition: FeatureDefinition, read) -> pd.DataFrame:
    """The examined day's features with the dataset's rows beside them."""
    features = FeatureRun(definition, read).compute(EXAMINED).to_pandas()
    rows = read("nyc_flights", EXAMINED).to_pandas()
    assert len(features) == len(rows)
    return features.join(rows.add_prefix("raw_"))


def test_no_feature_knows_the_future(definition: FeatureDefinition, read) -> None:
    assert find_leak(definition, read, EXAMINED) == ()


def test_a_range_gives_the_bits_of_each_day_alone(definition: FeatureDefinition, read) -> None:
    run = FeatureRun(definition, read)
    for key in DAYS[7:10]:
        together, alone = run.compute(key), FeatureRun(definition, read).compute(key)
        assert together.schema.equals(alone.schema)
        assert content_digest(together, definition.key) == content_digest(alone, definition.key)


def test_the_label_is_unknown_exactly_where_the_flight_did_not_arrive(day: pd.DataFrame) -> None:
    delay = day["raw_arr_delay"]
    assert day["label"].isna().equals(delay.isna())
    assert (day["label"].dropna() == (delay.dropna() > 15)).all()


def test_congestion_counts_the_day_s_schedule(day: pd.DataFrame) -> None:
    hour = day["raw_sched_dep_time"] // 100
    for n in range(0, len(day), 97):
        here = day["raw_origin"] == day["raw_origin"][n]
        assert day["origin_hour_flights"][n] == (here & (hour == hour[n])).sum()
        assert (
            day["origin_flights_before"][n] == (here & (day["raw_sched_dep_time"] < day["raw_sched_dep_time"][n])).sum()
        )


def test_an_aircraft_s_legs_are_counted_in_the_order_of_the_schedule(day: pd.DataFrame) -> None:
    minute = day["raw_sched_dep_time"] // 100 * 60 + day["raw_sched_dep_time"] % 100
    several = day.groupby("raw_tailnum", observed=True).filter(
        lambda legs: len(legs) > 1 and legs["raw_sched_dep_time"].is_unique
    )
    assert len(several) > 100
    for n in several.index[::29]:
        before = day[(day["raw_tailnum"] == day["raw_tailnum"][n]) & (minute < minute[n])]
        assert day["aircraft_legs_before"][n] == len(before)
        turn = day["aircraft_turn_minutes"][n]
        assert np.isnan(turn) if before.empty else turn == minute[n] - minute[before.index].max()
    assert day["aircraft_legs_before"].isna().equals(day["raw_tailnum"].isna())


def test_weather_is_the_observation_of_two_hours_before(day: pd.DataFrame, read) -> None:
    """An hour's observation is known from that hour's end, and strictly before the row's hour begins."""
    weather = pd.concat([read("nyc_weather", key).to_pandas() for key in DAYS[8:10]]).set_index(["origin", "time_hour"])
    checked = 0
    for n in range(0, len(day), 41):
        moment = (day["raw_origin"][n], day["raw_time_hour"][n] - pd.Timedelta(hours=2))
        if moment in weather.index:
            assert day["visibility"][n] == np.float32(weather.loc[moment]["visib"])
            checked += 1
    assert checked > 15


def test_recent_history_is_the_group_s_own_against_all(day: pd.DataFrame, read) -> None:
    past = pd.concat([read("nyc_flights", key).to_pandas() for key in DAYS[:9]]).dropna(subset=["arr_delay"])
    overall = (past["arr_delay"] > 15).mean()
    for n in range(0, len(day), 97):
        alike = (past["carrier"] == day["raw_carrier"][n]) & (past["flight"] == day["raw_flight"][n])
        late = past[alike]["arr_delay"] > 15
        expected = (late.sum() - len(late) * overall) / (len(late) + 10)
        assert day["flight_late"][n] == pytest.approx(expected, abs=1e-6)


def test_the_first_day_of_all_has_no_history(definition: FeatureDefinition, read) -> None:
    first = FeatureRun(definition, read).compute(DAYS[0]).to_pandas()
    assert first[["flight_late", "aircraft_minutes"]].isna().all(axis=None)
    assert not first[["departs_minute", "origin_hour_flights"]].isna().any(axis=None)
