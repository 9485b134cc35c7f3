"""What a day of departures from New York must be like.

Bounds are those of the trade, not of the year at hand, so that a new year passes and a unit a thousand times off does not.
"""

import pandera.pandas as pa

AIRPORT = r"^[A-Z]{3}$"
CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"]
ORIGINS = ["EWR", "JFK", "LGA"]


def clock() -> pa.Check:
    """Local time as HHMM; 2400 is midnight at the end of the day."""
    return pa.Check(
        lambda time: (time >= 0) & (time <= 2400) & (time % 100 < 60), name="clock", error="a time of day as HHMM"
    )


schema = pa.DataFrameSchema(
    {
        "year": pa.Column("int16", pa.Check.in_range(1987, 2100)),
        "month": pa.Column("int16", pa.Check.in_range(1, 12)),
        "day": pa.Column("int16", pa.Check.in_range(1, 31)),
        "dep_time": pa.Column("Int16", clock(), nullable=True),
        "sched_dep_time": pa.Column("int16", clock()),
        "dep_delay": pa.Column("Int16", pa.Check.in_range(-120, 2880), nullable=True),  # minutes
        "arr_time": pa.Column("Int16", clock(), nullable=True),
        "sched_arr_time": pa.Column("int16", clock()),
        "arr_delay": pa.Column("Int16", pa.Check.in_range(-180, 2880), nullable=True),  # minutes
        "carrier": pa.Column("category", pa.Check.isin(CARRIERS)),
        "flight": pa.Column("int16", pa.Check.in_range(1, 9999)),
        "tailnum": pa.Column("category", pa.Check.str_matches(r"^[A-Z0-9]{5,6}$"), nullable=True),
        "origin": pa.Column("category", pa.Check.isin(ORIGINS)),
        "dest": pa.Column("category", pa.Check.str_matches(AIRPORT)),
        "air_time": pa.Column("Int16", pa.Check.in_range(10, 1200), nullable=True),  # minutes
        "distance": pa.Column("int16", pa.Check.in_range(10, 6000)),  # miles
        "hour": pa.Column("int16", pa.Check.in_range(0, 23)),
        "minute": pa.Column("int16", pa.Check.in_range(0, 59)),
        "time_hour": pa.Column("datetime64[us, UTC]"),  # the scheduled hour of departure
    },
    # ignore_na would look for rows without any value at all, which costs more than the checks themselves.
    checks=[
        pa.Check(
            lambda rows: rows["hour"] * 100 + rows["minute"] == rows["sched_dep_time"],
            name="hour and minute",
            ignore_na=False,
            error="hour and minute are those of sched_dep_time",
        ),
        pa.Check(
            lambda rows: rows["arr_delay"].isna() | rows["dep_delay"].notna(),
            name="arrived after departure",
            ignore_na=False,
            error="what has an arrival delay has departed",
        ),
    ],
    strict=True,
)

day_checks = {
    "departures from all three airports": lambda days: days["origin"].nunique() == len(ORIGINS),
    "distances differ": lambda days: days["distance"].nunique() > 1,
}
