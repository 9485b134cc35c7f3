"""Features of a departure, asked at the start of its scheduled hour: will it arrive more than 15 minutes late?

Everything here is known by then: the schedule of the whole day, the weather observed before, and how flights of the days before
went. `late` is null for a flight that was cancelled or diverted: it never arrived as asked, so it teaches and judges nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pandas as pd

from mtac_assets.data.point_in_time import Lookup, Past

# An hour's observation is taken towards the end of that hour.
KNOWN_AFTER = {"nyc_weather": timedelta(hours=1)}

LATE_MINUTES = 15
SHORT, MIDDLE, LONG = 3, 7, 28


def late(rows: pd.DataFrame) -> pd.Series:
    """1.0 where the flight arrived more than 15 minutes late, 0.0 where it did not, null where it did not arrive."""
    return (rows["arr_delay"] > LATE_MINUTES).astype(float).where(rows["arr_delay"].notna())


def cancelled(rows: pd.DataFrame) -> pd.Series:
    return rows["dep_time"].isna()


def minutes_late(rows: pd.DataFrame) -> pd.Series:
    """Arrival delay in whole minutes, extremes cut: one flight a day late must not outweigh a hundred."""
    return rows["arr_delay"].clip(-30, 180)


def view(rows: pd.DataFrame, past: Past, lookups: Mapping[str, Lookup]) -> pd.DataFrame:
    """The columns that docs/features.md explains, for the departures of one day."""
    leaves, block = minute_of_day(rows["sched_dep_time"]), block_minutes(rows)
    columns: dict[str, np.ndarray | float] = {}
    columns |= schedule(rows, leaves, block)
    columns |= congestion(rows, leaves)
    columns |= aircraft(rows, leaves, block)
    columns |= weather(rows, lookups["nyc_weather"])
    columns |= recent(past)
    columns |= categories(rows)
    return pd.DataFrame(columns, index=rows.index)


def minute_of_day(hhmm: pd.Series) -> np.ndarray:
    clock = hhmm.to_numpy()
    return clock // 100 * 60 + clock % 100


def block_minutes(rows: pd.DataFrame) -> np.ndarray:
    """From scheduled departure to scheduled arrival by the local clocks: the time zones' difference is in it, the same every day."""
    return (minute_of_day(rows["sched_arr_time"]) - minute_of_day(rows["sched_dep_time"])) % 1440


def schedule(rows: pd.DataFrame, leaves: np.ndarray, block: np.ndarray) -> dict[str, np.ndarray | float]:
    today = date(*(int(rows[name].iloc[0]) for name in ("year", "month", "day")))
    distance = rows["distance"].to_numpy()
    return {
        "departs_minute": leaves,
        "arrives_minute": minute_of_day(rows["sched_arr_time"]),
        "block_minutes": block,
        "distance": distance,
        "speed": distance / np.maximum(block, 1),
        "weekday": float(today.weekday()),
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
    """The last observation at the airport of departure, and how it moved over three hours; null where it is older than six."""
    six, nine, three = timedelta(hours=6), timedelta(hours=9), timedelta(hours=3)
    columns = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
    now = observed.as_of(rows, by=["origin"], columns=columns, max_age=six).astype(float)
    then = observed.as_of(
        rows, by=["origin"], columns=["pressure", "temp", "precip"], max_age=nine, before=three
    ).astype(float)
    new, old = ({name: frame[name].to_numpy() for name in frame} for frame in (now, then))
    angle = np.deg2rad(new["wind_dir"])
    return {
        "temperature": new["temp"],
        "dew_point_gap": new["temp"] - new["dewp"],
        "humidity": new["humid"],
        "wind_speed": new["wind_speed"],
        "wind_gust": new["wind_gust"],
        "wind_north": new["wind_speed"] * np.cos(angle),
        "wind_east": new["wind_speed"] * np.sin(angle),
        "precipitation": new["precip"],
        "precipitation_before": old["precip"],
        "pressure": new["pressure"],
        "pressure_change": new["pressure"] - old["pressure"],
        "temperature_change": new["temp"] - old["temp"],
        "visibility": new["visib"],
    }


# What past flights may have in common with this one, and over how many past days that is counted.
GROUPS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "carrier": (("carrier",), (SHORT, MIDDLE, LONG)),
    "origin": (("origin",), (SHORT, MIDDLE, LONG)),
    "dest": (("dest",), (SHORT, MIDDLE, LONG)),
    "aircraft": (("tailnum",), (SHORT, LONG)),
    "route": (("origin", "dest"), (MIDDLE, LONG)),
    "hour": (("hour",), (MIDDLE, LONG)),
    "origin_hour": (("origin", "hour"), (MIDDLE, LONG)),
    "carrier_origin": (("carrier", "origin"), (MIDDLE, LONG)),
    "carrier_hour": (("carrier", "hour"), (LONG,)),
    "flight": (("carrier", "flight"), (MIDDLE, LONG)),
}
SMOOTHING = 10  # rows of the overall rate that are mixed into each group's: a group of three flights says little


def recent(past: Past) -> dict[str, np.ndarray]:
    """How the days before went. Rates are drawn towards the overall rate of the same days by as much as they rest on few flights,
    and the number of flights behind them is a feature of its own; without any history they are null."""
    columns: dict[str, np.ndarray] = {}
    for days in (1, SHORT, MIDDLE, LONG):
        columns[f"late_rate_{days}d"] = past.rates([], late, days).mean
    every_delay = past.sums([], minutes_late, LONG)
    for name, (by, windows) in GROUPS.items():
        for days in windows:
            every = past.rates([], late, days)
            columns[f"{name}_late_rate_{days}d"] = past.rates(by, late, days).towards(every, SMOOTHING)
        columns[f"{name}_delay_{LONG}d"] = past.sums(by, minutes_late, LONG).towards(every_delay, SMOOTHING)
        columns[f"{name}_flights_{LONG}d"] = np.log1p(past.rates(by, late, LONG).known)
    columns["origin_cancelled_rate_1d"] = past.rates(["origin"], cancelled, 1).mean
    return columns


def categories(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Carrier and airports as they are, and the hour band by which the evaluation is cut."""
    bands = np.array(["00-05", "06-11", "12-17", "18-23"], dtype=object)
    names = {name: rows[name].to_numpy() for name in ("carrier", "origin", "dest")}
    return {**names, "hour_band": bands[rows["hour"].to_numpy() // 6]}
