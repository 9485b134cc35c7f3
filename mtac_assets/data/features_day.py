"""One day's features from frames: what a view is given, in which order days are told, and nothing of files.

A day's features are a pure function of its own rows, of the `history_days` before it, and of the lookups' records over the same
days. Computing a range tells each day to the history once; the sums are integers, so the answer is the same as alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa

from mtac_assets.data.features_check import feature_table
from mtac_assets.data.features_view import FeatureDefinition, FeatureError, LookupDefinition
from mtac_assets.data.point_in_time import History, Lookup
from mtac_assets.data.point_in_time_codes import nanoseconds
from mtac_assets.spec.errors import Finding, MtacError
from mtac_assets.spec.resolved import ALL

Read = Callable[[str, str], pa.Table | None]
"""Rows of (dataset, key), in the order of the dataset's key; None for a day that the dataset does not reach."""

EPOCH = date(1970, 1, 1)


def day_number(key: str) -> int:
    """Days since 1970-01-01; 0 for the one partition of a recipe without time."""
    return 0 if key == ALL else (date.fromisoformat(key) - EPOCH).days


def day_key(day: int) -> str:
    return (EPOCH + timedelta(days=day)).isoformat()


class FeatureRun:
    """Computes days in ascending order, each partition read once."""

    def __init__(self, definition: FeatureDefinition, read: Read) -> None:
        self.definition, self._read = definition, read
        self._history = History(definition.history_days)
        self._told = -1  # last day the history was asked to learn, present or not
        self._lookups: dict[str, dict[int, pd.DataFrame]] = {lookup.name: {} for lookup in definition.lookups}
        self._kept: tuple[int, pd.DataFrame] | None = None

    def read_on(self, read: Read) -> None:
        """Go on with later days, which are read by `read`."""
        self._read = read

    @property
    def rows_known(self) -> int:
        """Rows of past days that are kept for later ones."""
        lookups = (len(frame) for frames in self._lookups.values() for frame in frames.values())
        return self._history.rows + sum(lookups)

    def compute(self, key: str) -> pa.Table:
        """The feature partition of one day. Raises FeatureError, naming day and column."""
        definition, day = self.definition, day_number(key)
        assert day >= self._told, "days are computed in ascending order"
        self._tell_days_before(day)
        table = self._rows_of(key)
        complete = to_frame(table)
        known = complete.drop(columns=[name for name in definition.outcome_columns if name in complete.columns])
        try:
            past = self._history.past(day, known)
            features = definition.view(known.copy(), past, self._lookups_for(day, known))
            return feature_table(definition, key, day, table, features, definition.label(complete))
        except MtacError:
            raise
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:  # a fault of the team's own code
            raise FeatureError(
                Finding(
                    f"the view failed: {type(error).__name__}: {error}",
                    f"{definition.recipe}/{key}",
                    "a view that computes every day's features",
                    f"correct it: {_place(error)}",
                )
            ) from error
        finally:
            self._kept = (day, complete)

    def _rows_of(self, key: str) -> pa.Table:
        table = self._read(self.definition.rows, key)
        if table is None or table.num_rows == 0:
            raise FeatureError(
                Finding(
                    "there are no rows",
                    f"{self.definition.rows}/{key}",
                    "a partition with rows",
                    f"ingest {self.definition.rows} for {key}",
                )
            )
        return table

    def _tell_days_before(self, day: int) -> None:
        first = max(day - self.definition.history_days, self._told + 1)
        for earlier in range(first, day):
            if self._kept is not None and self._kept[0] == earlier:
                self._history.add(earlier, self._kept[1])
                continue
            table = self._read(self.definition.rows, day_key(earlier))
            if table is not None:
                self._history.add(earlier, to_frame(table))
        self._told = max(self._told, day - 1)

    def _lookups_for(self, day: int, rows: pd.DataFrame) -> Mapping[str, Lookup]:
        definition = self.definition
        if not definition.lookups:
            return {}
        assert definition.event_time is not None, "a recipe with lookups has an event time"
        moments = nanoseconds(pd.Series(rows[definition.event_time]))
        return {lookup.name: self._lookup(lookup, day, moments) for lookup in definition.lookups}

    def _lookup(self, lookup: LookupDefinition, day: int, moments: np.ndarray) -> Lookup:
        frames = self._lookups[lookup.name]
        first = day - self.definition.history_days
        for earlier in [known for known in frames if known < first]:
            del frames[earlier]
        for reached in range(first, day + 1):
            if reached not in frames:
                table = self._read(lookup.name, day_key(reached))
                if table is not None:
                    frames[reached] = to_frame(table)
        return Lookup(
            lookup.name, frames, lookup.event_time, lookup.known_after, day, self.definition.history_days, moments
        )


def to_frame(table: pa.Table) -> pd.DataFrame:
    """A frame that depends on the table's content alone: strings as objects, whole numbers as int64 (float64 where some are null)."""
    columns = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_dictionary(field.type):
            columns[field.name] = column.cast(field.type.value_type)
        elif pa.types.is_integer(field.type):
            columns[field.name] = column.cast(pa.int64())
        else:
            columns[field.name] = column
    return pa.table(columns).to_pandas()


def _place(error: Exception) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "unknown line" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
