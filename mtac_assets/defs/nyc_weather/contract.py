"""What a day of hourly weather at the New York airports must be like, in the units of the source."""

import pandera.pandas as pa

schema = pa.DataFrameSchema(
    {
        "origin": pa.Column("category", pa.Check.isin(["EWR", "JFK", "LGA"])),
        "year": pa.Column("int16", pa.Check.in_range(1987, 2100)),
        "month": pa.Column("int16", pa.Check.in_range(1, 12)),
        "day": pa.Column("int16", pa.Check.in_range(1, 31)),
        "hour": pa.Column("int16", pa.Check.in_range(0, 23)),  # local time
        "temp": pa.Column("float64", pa.Check.in_range(-40, 130), nullable=True),  # °F
        "dewp": pa.Column("float64", pa.Check.in_range(-60, 100), nullable=True),  # °F
        "humid": pa.Column("float64", pa.Check.in_range(0, 100), nullable=True),  # %
        "wind_dir": pa.Column("float64", pa.Check.in_range(0, 360), nullable=True),  # degrees
        "wind_speed": pa.Column("float64", pa.Check.in_range(0, 150), nullable=True),  # mph; the source has one of 1048
        "wind_gust": pa.Column("float64", pa.Check.in_range(0, 200), nullable=True),  # mph
        "precip": pa.Column("float64", pa.Check.in_range(0, 10)),  # inches
        "pressure": pa.Column("float64", pa.Check.in_range(900, 1100), nullable=True),  # hPa
        "visib": pa.Column("float64", pa.Check.in_range(0, 15)),  # miles
        "time_hour": pa.Column("datetime64[us, UTC]"),
    },
    strict=True,
)

day_checks = {
    "observations from all three airports": lambda days: days["origin"].nunique() == 3,
}
