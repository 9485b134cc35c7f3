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


def departed_late(rows: pd.DataFrame) -> pd.Series:
    return (rows["dep_delay"] > LATE_MINUTES).astype(float).where(rows["dep_delay"].notna())


def cancelled(rows: pd.DataFrame) -> pd.Series:
    return rows["dep_time"].isna()


def minutes_late(rows: pd.DataFrame) -> pd.Series:
    """Arrival delay in whole minutes, extremes cut: one flight a day late must not outweigh a hundred."""
    return rows["arr_delay"].clip(-30, 180)


def view(rows: pd.DataFrame, past: Past, lookups: Mapping[str, Lookup]) -> pd.DataFrame:
    """See docs/features.md for the columns."""
    known = [schedule(rows), calendar(rows), congestion(rows), aircraft(rows)]
    return pd.concat([*known, weather(rows, lookups["nyc_weather"]), recent(rows, past), categories(rows)], axis=1)


def minute_of_day(hhmm: pd.Series) -> pd.Series:
    return hhmm // 100 * 60 + hhmm % 100


def block_minutes(rows: pd.DataFrame) -> pd.Series:
    """From scheduled departure to scheduled arrival by the local clocks: the time zones' difference is in it, the same every day."""
    return (minute_of_day(rows["sched_arr_time"]) - minute_of_day(rows["sched_dep_time"])) % 1440


def schedule(rows: pd.DataFrame) -> pd.DataFrame:
    leaves, block = minute_of_day(rows["sched_dep_time"]), block_minutes(rows)
    return pd.DataFrame(
        {
            "departs_minute": leaves,
            "arrives_minute": minute_of_day(rows["sched_arr_time"]),
            "block_minutes": block,
            "distance": rows["distance"],
            "speed": rows["distance"] / block.clip(lower=1),
        }
    )


def calendar(rows: pd.DataFrame) -> pd.DataFrame:
    today = date(*(int(rows[name].iloc[0]) for name in ("year", "month", "day")))
    return pd.DataFrame({"weekday": float(today.weekday())}, index=rows.index)


def congestion(rows: pd.DataFrame) -> pd.DataFrame:
    """How many departures the day's schedule puts around this one; the schedule is published long before."""
    quarter = minute_of_day(rows["sched_dep_time"]) // 15
    return pd.DataFrame(
        {
            "origin_quarter_flights": _size(rows["origin"], quarter),
            "origin_hour_flights": _size(rows["origin"], rows["hour"]),
            "origin_flights_before": rows["sched_dep_time"].groupby(rows["origin"]).rank(method="min") - 1,
            "carrier_origin_flights": _size(rows["carrier"], rows["origin"]),
            "route_flights": _size(rows["origin"], rows["dest"]),
        }
    )


def _size(first: pd.Series, second: pd.Series) -> pd.Series:
    """How many rows of the day share both values with each row."""
    return first.groupby([first, second]).transform("size")


def aircraft(rows: pd.DataFrame) -> pd.DataFrame:
    """What the day's schedule says of this aircraft up to now: earlier legs from New York, and what time they leave it to return.

    Later legs stay out: who flies them is settled only after the delays of this one.
    """
    legs = pd.DataFrame(
        {"tailnum": rows["tailnum"], "leaves": minute_of_day(rows["sched_dep_time"]), "block": block_minutes(rows)}
    )
    legs = legs.sort_values("leaves", kind="stable")
    by_aircraft = legs.groupby("tailnum")
    before = by_aircraft[["leaves", "block"]].shift()
    turn = legs["leaves"] - before["leaves"]
    return pd.DataFrame(
        {
            "aircraft_legs_before": by_aircraft.cumcount().where(legs["tailnum"].notna()),
            "aircraft_turn_minutes": turn,
            "aircraft_slack_minutes": turn - 2 * before["block"],
        }
    ).reindex(rows.index)


def weather(rows: pd.DataFrame, observed: Lookup) -> pd.DataFrame:
    """The last observation at the airport of departure, and how it moved over three hours; null where it is older than six."""
    six, nine, three = timedelta(hours=6), timedelta(hours=9), timedelta(hours=3)
    columns = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
    now = observed.as_of(rows, by=["origin"], columns=columns, max_age=six)
    then = observed.as_of(rows, by=["origin"], columns=["pressure", "temp", "precip"], max_age=nine, before=three)
    angle = np.deg2rad(now["wind_dir"].astype(float))
    return pd.DataFrame(
        {
            "temperature": now["temp"],
            "dew_point_gap": now["temp"] - now["dewp"],
            "humidity": now["humid"],
            "wind_speed": now["wind_speed"],
            "wind_gust": now["wind_gust"],
            "wind_north": now["wind_speed"] * np.cos(angle),
            "wind_east": now["wind_speed"] * np.sin(angle),
            "precipitation": now["precip"],
            "precipitation_before": then["precip"],
            "pressure": now["pressure"],
            "pressure_change": now["pressure"] - then["pressure"],
            "temperature_change": now["temp"] - then["temp"],
            "visibility": now["visib"],
        },
        index=rows.index,
    )


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


def recent(rows: pd.DataFrame, past: Past) -> pd.DataFrame:
    """How the days before went. Rates are drawn towards the overall rate of the same days by as much as they rest on few flights,
    and the number of flights behind them is a feature of its own; without any history they are null."""
    columns: dict[str, np.ndarray] = {}
    for days in (1, SHORT, MIDDLE, LONG):
        columns[f"late_rate_{days}d"] = past.rates([], late, days).mean
    every_delay = past.sums([], minutes_late, LONG)
    for name, (by, windows) in GROUPS.items():
        for days in windows:
            columns[f"{name}_late_rate_{days}d"] = past.rates(by, late, days).towards(
                past.rates([], late, days), SMOOTHING
            )
        columns[f"{name}_delay_{LONG}d"] = past.sums(by, minutes_late, LONG).towards(every_delay, SMOOTHING)
        columns[f"{name}_flights_{LONG}d"] = np.log1p(past.rates(by, late, LONG).known)
    columns["origin_cancelled_rate_1d"] = past.rates(["origin"], cancelled, 1).mean
    columns["flight_departed_late_rate_28d"] = past.rates(["carrier", "flight"], departed_late, LONG).towards(
        past.rates([], departed_late, LONG), SMOOTHING
    )
    return pd.DataFrame(columns, index=rows.index)


def categories(rows: pd.DataFrame) -> pd.DataFrame:
    """Carrier and airports as they are, and the hour band by which the evaluation is cut."""
    bands = np.array(["00-05", "06-11", "12-17", "18-23"], dtype=object)
    return rows[["carrier", "origin", "dest"]].assign(hour_band=bands[rows["hour"].to_numpy() // 6])
