"""Values of columns as small integers, and moments as nanoseconds: what counting and looking up stand on."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd

from mtac_assets.spec.errors import Finding, MtacError


class PointInTimeError(MtacError):
    """A feature view asked for something that it may not know, or that cannot be counted exactly."""


By = tuple[str, ...]


class Codes:
    """Small integers for the values of columns and of combinations of them, the same for every frame that was shown."""

    def __init__(self) -> None:
        self._values: dict[str, dict[Hashable, int]] = {}
        self._pairs: dict[By, dict[int, int]] = {}

    def size(self, by: By) -> int:
        """How many codes `by` has so far."""
        if not by:
            return 1
        return len(self._values.get(by[0], ()) if len(by) == 1 else self._pairs.get(by, ()))

    def of(self, by: By, frame: pd.DataFrame, known: dict[By, np.ndarray]) -> np.ndarray:
        """int64 [N]: a code for each row's values in `by`, -1 where one of them is null. `known` keeps what was coded of `frame`."""
        codes = known.get(by)
        if codes is None:
            if not by:
                codes = np.zeros(len(frame), dtype=np.int64)
            elif len(by) == 1:
                codes = _numbered(pd.Series(frame[by[0]]), self._values.setdefault(by[0], {}))
            else:
                first, second = self.of(by[:-1], frame, known), self.of(by[-1:], frame, known)
                codes = _paired(first, second, self._pairs.setdefault(by, {}))
            known[by] = codes
        return codes


def _paired(first: np.ndarray, second: np.ndarray, pairs: dict[int, int]) -> np.ndarray:
    joint = np.where((first < 0) | (second < 0), -1, (first << 32) | second)
    distinct, inverse = np.unique(joint, return_inverse=True)
    mapping = np.array(
        [-1 if key < 0 else pairs.setdefault(key, len(pairs)) for key in distinct.tolist()], dtype=np.int64
    )
    return mapping[inverse]


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
    if not isinstance(column.dtype, pd.DatetimeTZDtype) and not pd.api.types.is_datetime64_dtype(column.dtype):
        raise PointInTimeError(
            Finding(
                error=f"{column.name} has type {column.dtype}",
                where=f"column {column.name}",
                expected="timestamps",
                remedy="declare the event time as a timestamp in the contract",
            )
        )
    return column.dt.as_unit("ns").to_numpy(dtype="datetime64[ns]").astype(np.int64)
