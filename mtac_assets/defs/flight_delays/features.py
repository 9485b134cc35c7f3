"""Features of a departure, asked at the start of its scheduled hour: will it arrive more than 15 minutes late?

Everything here is known by then: the schedule of the whole day, the weather observed before, and how flights of the days before
went. `late` is null for a flight that was cancelled or diverted: it never arrived as asked, so it teaches and judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import pandas as pd

from mtac_assets.data.point_in_time import Lookup, Past

# An hour's observation is taken towards the end of that hour.
KNOWN_AFTER = {"nyc_weather": timedelta(hours=1)}

LATE_MINUTES = 15
DAYS = 28  # how far back


def late(rows: pd.DataFrame) -> pd.Series:
    """1.0 where the flight arrived more than 15 minutes late, 0.0 where it did not, null where it did not arrive."""
    minutes = pd.Series(rows["arr_delay"], dtype=float)
    return (minutes > LATE_MINUTES).astype(float).where(minutes.notna(), np.nan)


def minutes_late(rows: pd.DataFrame) -> pd.Series:
    """Arrival delay in whole minutes, extremes cut: one flight a day late must not outweigh a hundred."""
    return pd.Series(rows["arr_delay"], dtype=float).clip(-30, 180)


def view(rows: pd.DataFrame, past: Past, lookups: Mapping[str, Lookup]) -> pd.DataFrame:
    """The columns that docs/features.md explains, for the departures of one day."""
    leaves, block = minute_of_day(rows, "sched_dep_time"), block_minutes(rows)
    columns = schedule(rows, leaves, block)
    columns |= congestion(rows, leaves)
    columns |= aircraft(rows, leaves, block)
    columns |= weather(rows, lookups["nyc_weather"])
    columns |= recent(past)
    columns |= categories(rows)
    return pd.DataFrame(columns, index=rows.index)


def minute_of_day(rows: pd.DataFrame, column: str) -> np.ndarray:
    clock = rows[column].to_numpy()  # HHMM, local
    return clock // 100 * 60 + clock % 100


def block_minutes(rows: pd.DataFrame) -> np.ndarray:
    """From scheduled departure to scheduled arrival by the local clocks: the time zones' difference is in it, the same every day."""
    return (minute_of_day(rows, "sched_arr_time") - minute_of_day(rows, "sched_dep_time")) % 1440


def schedule(rows: pd.DataFrame, leaves: np.ndarray, block: np.ndarray) -> dict[str, np.ndarray]:
    distance = rows["distance"].to_numpy()
    return {
        "departs_minute": leaves,
        "arrives_minute": minute_of_day(rows, "sched_arr_time"),
        "block_minutes": block,
        "distance": distance,
        "speed": distance / np.maximum(block, 1),
    }


def congestion(rows: pd.DataFrame, leaves: np.ndarray) -> dict[str, np.ndarray]:
    """How many departures the day's schedule puts around this one; the schedule is published long before."""
    origin, dest, carrier = (pd.factorize(rows[name])[0] for name in ("origin", "dest", "carrier"))
    order = np.lexsort((leaves, origin))
    place = np.empty(len(rows))
    place[order] = np.searchsorted((origin * 1440 + leaves)[order], (origin * 1440 + leaves)[order])
    first = np.searchsorted(origin[order], origin)
    return {
        "origin_quarter_flights": _alike(origin, leaves // 15),
        "origin_hour_flights": _alike(origin, leaves // 60),
        "origin_flights_before": place - first,
        "carrier_origin_flights": _alike(carrier, origin),
        "route_flights": _alike(origin, dest),
    }


def _alike(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How many rows of the day share both values with each row."""
    _, group, sizes = np.unique(first * 10_000 + second, return_inverse=True, return_counts=True)
    return sizes[group]


def aircraft(rows: pd.DataFrame, leaves: np.ndarray, block: np.ndarray) -> dict[str, np.ndarray]:
    """What the day's schedule says of this aircraft up to now: earlier legs from New York, and what time they leave it to return.

    Later legs stay out: who flies them is settled only after the delays of this one.
    """
    tail = pd.factorize(rows["tailnum"])[0]
    order = np.lexsort((leaves, tail))
    ordered = tail[order]
    legs = np.arange(len(rows)) - np.searchsorted(ordered, ordered)
    before = np.where((legs > 0) & (ordered >= 0), np.roll(order, 1), -1)
    turn = np.where(before >= 0, leaves[order] - leaves[before], np.nan)
    slack = turn - 2 * block[before]
    columns = {
        "aircraft_legs_before": np.where(ordered >= 0, legs, np.nan),
        "aircraft_turn_minutes": turn,
        "aircraft_slack_minutes": slack,
    }
    unsorted = np.argsort(order)
    return {name: values[unsorted] for name, values in columns.items()}


def weather(rows: pd.DataFrame, observed: Lookup) -> dict[str, np.ndarray]:
    """The last observation at the airport of departure, null where it is older than six hours, and the rain of six hours.

    Temperature and pressure stay out: they move over weeks and tell a model the season, not the day's trouble.
    """
    names = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "visib"]
    now = observed.as_of(rows, by=["origin"], columns=names, max_age=timedelta(hours=6))
    seen = {name: now[name].to_numpy(dtype=float) for name in names}
    angle = np.deg2rad(seen["wind_dir"])
    return {
        "dew_point_gap": seen["temp"] - seen["dewp"],
        "humidity": seen["humid"],
        "wind_speed": seen["wind_speed"],
        "wind_gust": seen["wind_gust"],
        "wind_north": np.cos(angle),
        "wind_east": np.sin(angle),
        "visibility": seen["visib"],
        "precipitation": seen["precip"],
        "precipitation_6h": rain(rows, observed, hours=6),
    }


def rain(rows: pd.DataFrame, observed: Lookup, hours: int) -> np.ndarray:
    """Precipitation over the last known hours, one without an observation counting as dry; null where none has one."""
    amounts = np.stack([_rain_before(rows, observed, timedelta(hours=n)) for n in range(hours)])
    return np.where(np.isnan(amounts).all(axis=0), np.nan, np.nansum(amounts, axis=0))


def _rain_before(rows: pd.DataFrame, observed: Lookup, before: timedelta) -> np.ndarray:
    # The youngest record known before that moment is two hours old; an older one belongs to the next hour back.
    found = observed.as_of(rows, by=["origin"], columns=["precip"], max_age=before + timedelta(hours=2), before=before)
    return found["precip"].to_numpy(dtype=float)


# What past flights may have in common with this one.
GROUPS: dict[str, tuple[str, ...]] = {"aircraft": ("tailnum",), "flight": ("carrier", "flight")}
SMOOTHING = 10  # flights of no difference that are mixed into each group: three flights say little


def recent(past: Past) -> dict[str, np.ndarray]:
    """How this flight's like went over the days before, against all flights of the same days; null before there is any history.

    Only the difference counts. The overall rate, and rates of few large groups, are one number a day: with seven weeks to learn
    from they tell a model which day it is and nothing of the next one (docs/features.md has the figures).
    """
    every_flight, every_minute = past.rates([], late, DAYS), past.sums([], minutes_late, DAYS)
    columns: dict[str, np.ndarray] = {}
    for name, by in GROUPS.items():
        columns[f"{name}_late"] = past.rates(by, late, DAYS).above(every_flight, SMOOTHING)
        columns[f"{name}_minutes"] = past.sums(by, minutes_late, DAYS).above(every_minute, SMOOTHING)
    return columns


def categories(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Carrier and airports as they are, and the hour band by which the evaluation is cut."""
    bands = np.array(["00-05", "06-11", "12-17", "18-23"], dtype=object)
    names = {name: rows[name].to_numpy() for name in ("carrier", "origin", "dest")}
    return {**names, "hour_band": bands[rows["hour"].to_numpy() // 6]}
