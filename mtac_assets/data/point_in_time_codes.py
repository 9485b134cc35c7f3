"""Values of columns as small integers, and moments as nanoseconds: what counting and looking up stand on."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd

from mtac_assets.spec.errors import Finding, MtacError


class PointInTimeError(MtacError):
    """A feature view asked for something that it may not know, or that cannot be counted exactly."""


class Codes:
    """Small integers for the values of one combination of columns, the same for every day that one history has seen."""

    def __init__(self, by: tuple[str, ...]) -> None:
        self.by = by
        self._values: list[dict[Hashable, int]] = [{} for _ in by]
        self._pairs: list[dict[int, int]] = [{} for _ in by[1:]]

    @property
    def size(self) -> int:
        if not self.by:
            return 1
        return len(self._pairs[-1]) if self._pairs else len(self._values[0])

    def of(self, frame: pd.DataFrame) -> np.ndarray:
        """int64 [N]; -1 where any of the columns is null."""
        if not self.by:
            return np.zeros(len(frame), dtype=np.int64)
        codes = _numbered(frame[self.by[0]], self._values[0])
        for name, values, pairs in zip(self.by[1:], self._values[1:], self._pairs, strict=True):
            second = _numbered(frame[name], values)
            joint = np.where((codes < 0) | (second < 0), -1, (codes << 32) | second)
            distinct, inverse = np.unique(joint, return_inverse=True)
            mapping = np.array(
                [-1 if key < 0 else pairs.setdefault(key, len(pairs)) for key in distinct.tolist()], dtype=np.int64
            )
            codes = mapping[inverse]
        return codes


def _numbered(column: pd.Series, values: dict[Hashable, int]) -> np.ndarray:
    codes, distinct = pd.factorize(column)
    mapping = np.array([values.setdefault(value, len(values)) for value in distinct.tolist()] + [-1], dtype=np.int64)
    return mapping[codes]  # factorize gives null the code -1, which picks the last entry


def nanoseconds(column: pd.Series) -> np.ndarray:
    """Moments as int64 nanoseconds since 1970 UTC, whatever unit and zone the column has; nulls are refused."""
    if column.isna().any():
        raise PointInTimeError(
            Finding(
                error=f"{int(column.isna().sum())} of {len(column)} rows have no {column.name}",
                where=f"column {column.name}",
                expected="an event time in every row: without it nothing says what the row may know",
                remedy="let the contract forbid nulls in the event time",
            )
        )
    moments = pd.to_datetime(column, utc=True).astype("datetime64[ns, UTC]")
    return moments.to_numpy(dtype="datetime64[ns]").astype(np.int64)
