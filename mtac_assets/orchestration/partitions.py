"""Which partitions there are, and which depend on which: the windows of a recipe in Dagster's words.

What a window means is decided in `spec`; here it only becomes partition definitions and mappings, so that lineage
shows which days went into which model.
"""

from __future__ import annotations

import warnings
from datetime import date, timedelta

import dagster as dg

from mtac_assets.spec.dataset import Dataset
from mtac_assets.spec.recipe import Recipe, Window

# All are in wide use, and someone who loads or runs a project need not read that they are called beta or preview.
for _parameter in ("backfill_policy", "allow_nonexistent_upstream_partitions"):
    warnings.filterwarnings("ignore", message=f"Parameter `{_parameter}`", category=dg.BetaWarning)
warnings.filterwarnings("ignore", message="Function `PipesMessageReader", category=dg.PreviewWarning)


def dataset_partitions(dataset: Dataset) -> dg.DailyPartitionsDefinition | None:
    """The days of a dataset, `end` included; None where it has no time. Without an end, up to yesterday."""
    if dataset.partitions.kind == "none":
        return None
    return _days(dataset.partitions.start, dataset.partitions.end)


def as_of_partitions(window: Window, rows: Dataset) -> dg.DailyPartitionsDefinition:
    """The as-of dates whose training window lies within the dataset, and whose test days do."""
    assert rows.partitions.kind == "daily", "spec refuses a window over rows without days"
    first = rows.partitions.start + timedelta(days=window.train_days)
    end = rows.partitions.end
    if end is None:
        return dg.DailyPartitionsDefinition(first.isoformat(), end_offset=1 - window.test_days)
    return _days(first, end - timedelta(days=window.test_days - 1))


def looking_back(days: int) -> dg.TimeWindowPartitionMapping:
    """A day depends on itself and on the `days` before it, as far as there are any."""
    return dg.TimeWindowPartitionMapping(start_offset=-days, end_offset=0, allow_nonexistent_upstream_partitions=True)


def training_days(window: Window) -> dg.TimeWindowPartitionMapping:
    """An as-of date depends on the training window before it."""
    return dg.TimeWindowPartitionMapping(start_offset=-window.train_days, end_offset=-1)


def test_days(window: Window) -> dg.TimeWindowPartitionMapping:
    """An as-of date is tested on itself and the days after it."""
    return dg.TimeWindowPartitionMapping(start_offset=0, end_offset=window.test_days - 1)


def history_days(recipe: Recipe) -> int:
    """How many days before its own a feature partition reads."""
    return recipe.window.history_days if recipe.window is not None else 0


def _days(first: date, last: date | None) -> dg.DailyPartitionsDefinition:
    end = None if last is None else (last + timedelta(days=1)).isoformat()
    return dg.DailyPartitionsDefinition(first.isoformat(), end_date=end)
