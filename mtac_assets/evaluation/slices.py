"""Slices: the same metrics on the rows of one carrier, one origin, one hour band.

A small slice is marked and shown; a slice of one class has no ROC AUC and says so. Nothing is hidden or dropped: rows
without a value in the column are a slice of their own, named None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mtac_assets.evaluation.bootstrap import Resampling
from mtac_assets.evaluation.metrics import MetricValue, measure
from mtac_assets.evaluation.scored_rows import ScoredRows


@dataclass(frozen=True)
class Slice:
    """Metrics of the rows whose `column` has `value` (None: missing). `reference`: the same metrics of a baseline."""

    column: str
    value: str | None
    rows: int
    positives: int
    small: bool
    metrics: dict[str, MetricValue]
    reference: dict[str, MetricValue] | None = None

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "column": self.column,
            "value": self.value,
            "rows": self.rows,
            "positives": self.positives,
            "small": self.small,
            "metrics": {name: metric.document() for name, metric in self.metrics.items()},
        }
        if self.reference is not None:
            document["reference"] = {name: metric.document() for name, metric in self.reference.items()}
        return document


def slices_of(
    rows: ScoredRows,
    columns: dict[str, np.ndarray],
    min_rows: int,
    resampling: Resampling | None,
    reference: np.ndarray | None = None,
) -> list[Slice]:
    """All slices, by column as given, then by number of rows, largest first.

    `columns`: name to values, object [N] of strings and None. `reference`: scores of another model [N] to stand beside.
    Without `resampling` there are no intervals.
    """
    found: list[Slice] = []
    for column, values in columns.items():
        of_column = []
        for value in sorted(set(values.tolist()), key=lambda value: (value is None, str(value))):
            mask = np.array([entry == value for entry in values.tolist()]) if value is not None else _missing(values)
            part = rows.select(mask)
            beside = None
            if reference is not None:
                beside = measure(ScoredRows(part.labels, part.day, part.day_keys, reference[mask]), resampling)
            of_column.append(
                Slice(
                    column,
                    None if value is None else str(value),
                    part.rows,
                    int(part.labels.sum()),
                    part.rows < min_rows,
                    measure(part, resampling),
                    beside,
                )
            )
        found += sorted(of_column, key=lambda entry: (-entry.rows, str(entry.value)))
    return found


def _missing(values: np.ndarray) -> np.ndarray:
    return np.array([entry is None for entry in values.tolist()])
