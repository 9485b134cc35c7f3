"""The shipped datasets: a year of real flights and weather passes, and each way of breaking it fails. Faults 18 to 20."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from mtac_assets.data.ingest import DayResult, ingest
from mtac_assets.data.partitions import partition_path, read_manifest, read_table, stamp_path
from mtac_assets.spec.project import Project, find_project

DAY = "2013-03-01"
FILES = 'source: {kind: files, url: in, pattern: "flights-{date}.parquet", format: parquet}'


@pytest.fixture(scope="module")
def march(flights_project: Project) -> dict[str, DayResult]:
    keys = [f"2013-03-{day:02}" for day in range(1, 32)]
    return {day.key: day for day in ingest(flights_project, "nyc_flights", keys).days}


def test_a_month_of_flights_passes(march: dict[str, DayResult]) -> None:
    assert {day.status for day in march.values()} <= {"written", "unchanged"}
    assert sum(day.manifest.rows for day in march.values() if day.manifest) == 28_834
    assert sum(day.quarantined_rows for day in march.values()) == 0


def test_event_time_is_utc_and_minutes_stay_numbers(march: dict[str, DayResult], flights_project: Project) -> None:
    table = read_table(flights_project.state.data, "nyc_flights", "2013-03-11")
    assert table["time_hour"].type == pa.timestamp("us", tz="UTC")
    first = table.sort_by("time_hour").slice(0, 1).to_pylist()[0]
    # Summer time began on 10 March 2013: 5 o'clock in New York was 9 o'clock UTC.
    assert (first["hour"], first["time_hour"].hour) == (5, 9)
    assert pa.types.is_integer(table["minute"].type)


def test_the_wind_of_a_thousand_miles_an_hour_is_set_aside(flights_project: Project) -> None:
    day = ingest(flights_project, "nyc_weather", ["2013-02-12"]).days[0]
    assert (day.status, day.quarantined_rows) == ("written", 1)
    path = flights_project.state.data / "nyc_weather" / "2013-02-12.quarantine.parquet"
    assert pq.read_table(path)["reason"].to_pylist() == ["wind_speed = 1048.36058 fails in_range(0, 150)"]


@pytest.fixture
def flights(make_shop: Callable, root: Path, march, flights_project: Project) -> Callable[[pa.Table | None], DayResult]:
    """Deliver a table as the flights of a day that is already there; what becomes of it."""
    shop = make_shop()
    folder = shop.project.defs / "nyc_flights"
    folder.mkdir()
    shipped = root / "mtac_assets" / "defs" / "nyc_flights"
    (folder / "contract.py").write_bytes((shipped / "contract.py").read_bytes())
    lines = (shipped / "dataset.yaml").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("source:"))
    stop = next(i for i, line in enumerate(lines) if line.startswith("partitions:"))
    (folder / "dataset.yaml").write_text("\n".join([*lines[:start], FILES, *lines[stop:]]))
    project = find_project(shop.project.root, "local")

    def deliver(table: pa.Table) -> DayResult:
        pq.write_table(table, shop.inbox / f"flights-{DAY}.parquet")
        return ingest(project, "nyc_flights", [DAY]).days[0]

    good = deliver(good_day(flights_project))
    assert (good.status, good.quarantined_rows) == ("written", 0)
    kept = [partition_path(project.state.data, "nyc_flights", DAY), stamp_path(project.state.data, "nyc_flights", DAY)]
    before = [path.read_bytes() for path in kept]

    def deliver_bad(table: pa.Table) -> DayResult:
        result = deliver(table)
        if result.status == "failed":
            assert [path.read_bytes() for path in kept] == before
            assert read_manifest(project.state.data, "nyc_flights", DAY) == good.manifest
        return result

    return deliver_bad


def good_day(project: Project) -> pa.Table:
    return read_table(project.state.data, "nyc_flights", DAY)


def changed(project: Project, name: str, change: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> pa.Table:
    table = good_day(project)
    return table.set_column(table.column_names.index(name), name, change(table[name]))


def errors(result: DayResult) -> str:
    assert result.status == "failed"
    return "\n".join(finding.error for finding in result.findings)


def test_a_dropped_column(flights, flights_project: Project) -> None:
    assert "column 'distance' is missing" in errors(flights(good_day(flights_project).drop_columns(["distance"])))


def test_a_renamed_column(flights, flights_project: Project) -> None:
    table = good_day(flights_project)
    renamed = table.rename_columns(["dist" if name == "distance" else name for name in table.column_names])
    assert "'distance' is missing (there is 'dist'" in errors(flights(renamed))


@pytest.mark.parametrize("kind", [pa.string(), pa.float64()])
def test_a_retyped_column(flights, flights_project: Project, kind: pa.DataType) -> None:
    table = changed(flights_project, "distance", lambda column: column.cast(kind))
    assert f"column 'distance' is {kind}" in errors(flights(table))


@pytest.mark.parametrize("name", ["distance", "air_time", "arr_delay"])
def test_a_unit_a_thousand_times_off(flights, flights_project: Project, name: str) -> None:
    table = changed(flights_project, name, lambda column: pc.multiply(column.cast(pa.int64()), 1000))
    assert f"{name}" in errors(flights(table))


def test_a_new_category(flights, flights_project: Project) -> None:
    table = changed(
        flights_project, "carrier", lambda column: pc.replace_substring(column.cast(pa.string()), "UA", "ZZ")
    )
    assert "carrier = 'ZZ' fails isin" in errors(flights(table))


def test_one_row_of_a_new_category_is_set_aside(flights, flights_project: Project) -> None:
    values = good_day(flights_project)["carrier"].to_pylist()
    result = flights(changed(flights_project, "carrier", lambda _: pa.chunked_array([["ZZ", *values[1:]]])))
    assert (result.status, result.quarantined_rows) == ("written", 1)


@pytest.mark.parametrize(
    "name", ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum", "carrier", "distance"]
)
def test_nine_tenths_null(flights, flights_project: Project, name: str) -> None:
    def mostly_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
        values = column.to_pylist()
        return pa.chunked_array([[value if i % 10 == 0 else None for i, value in enumerate(values)]], type=column.type)

    assert f"{name}" in errors(flights(changed(flights_project, name, mostly_null)))


def test_a_constant_column(flights, flights_project: Project) -> None:
    table = changed(flights_project, "distance", lambda column: pa.chunked_array([[500] * len(column)], pa.int16()))
    assert "distances differ" in errors(flights(table))


def test_half_a_day_and_a_day_twice(flights, flights_project: Project) -> None:
    table = good_day(flights_project)
    assert "479 rows" in errors(flights(table.slice(0, table.num_rows // 2)))
    assert "key: unique" in errors(flights(pa.concat_tables([table, table])))


def test_another_days_rows(flights, flights_project: Project) -> None:
    other = read_table(flights_project.state.data, "nyc_flights", "2013-03-02")
    assert "rows are not of 2013-03-01" in errors(flights(other))


def test_mere_order_changes_nothing(flights, flights_project: Project) -> None:
    table = good_day(flights_project)
    turned = table.select(table.column_names[::-1]).take(list(range(table.num_rows))[::-1])
    assert flights(turned).status == "unchanged"


@pytest.mark.slow
def test_the_whole_year_passes(flights_project: Project) -> None:
    keys = [str(day) for day in np.arange("2013-01-01", "2014-01-01", dtype="datetime64[D]")]
    for name, wanted, rows, aside in (("nyc_flights", keys, 336_776, 0), ("nyc_weather", keys[:-1], 26_114, 1)):
        days = ingest(flights_project, name, wanted).days
        assert not [day for day in days if day.status == "failed"]
        assert sum(day.manifest.rows for day in days if day.manifest) == rows
        assert sum(day.quarantined_rows for day in days) == aside
