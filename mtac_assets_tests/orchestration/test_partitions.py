"""The windows of `spec` and the mappings of Dagster must be one and the same, for every window and date."""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.orchestration import partitions
from mtac_assets.spec.recipe import Window

START = date(2024, 1, 1)


def _upstream(
    mapping: dg.TimeWindowPartitionMapping,
    down: dg.DailyPartitionsDefinition,
    up: dg.DailyPartitionsDefinition,
    key: str,
) -> list[str]:
    subset = down.subset_with_partition_keys([key])
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(subset, down, up)
    return sorted(found.partitions_subset.get_partition_keys())


@given(train=st.integers(2, 20), test=st.integers(1, 10), shift=st.integers(0, 30), data=st.data())
def test_mappings_are_the_windows_days(train: int, test: int, shift: int, data: st.DataObject) -> None:
    validate = data.draw(st.integers(1, train - 1))
    window = Window(train_days=train, validate_days=validate, test_days=test, history_days=3)
    days = partitions._days(START, START + timedelta(days=train + test + shift))
    as_of = START + timedelta(days=train + data.draw(st.integers(0, shift)))
    down = partitions._days(START + timedelta(days=train), START + timedelta(days=train + shift))

    learned = _upstream(partitions.training_days(window), down, days, as_of.isoformat())
    assert learned == [(as_of - timedelta(days=n)).isoformat() for n in range(train, 0, -1)]
    tested = _upstream(partitions.test_days(window), down, days, as_of.isoformat())
    assert tested == [(as_of + timedelta(days=n)).isoformat() for n in range(test)]


def test_history_before_the_first_day_is_no_error() -> None:
    days = partitions._days(START, START + timedelta(days=9))
    assert _upstream(partitions.looking_back(3), days, days, "2024-01-02") == ["2024-01-01", "2024-01-02"]
    assert _upstream(partitions.looking_back(0), days, days, "2024-01-05") == ["2024-01-05"]
