"""What drift looks at: the rows of one block (a day, usually) by column, and what may not come in.

What the columns mean to a model is the recipe's; how they are counted is sketch.py's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    import pyarrow as pa


class DriftError(MtacError):
    """Rows, or a stored reference, that no verdict can be built on."""


class Column(NamedTuple):
    """One column under watch. `role`: feature (of the model), score (of the model) or raw (of the dataset: nulls only)."""

    role: str
    name: str

    def __str__(self) -> str:
        return (
            self.name if self.role == "feature" else self.role if self.role == "score" else f"{self.role} {self.name}"
        )


SCORE = Column("score", "score")


@dataclass(frozen=True, eq=False)
class Categories:
    """`codes` int [N]: places in `values`, which are distinct; -1 for null."""

    codes: np.ndarray
    values: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of one block. `numeric`: float [N], NaN for missing. `raw`: of each raw column (nulls, rows)."""

    numeric: Mapping[str, np.ndarray] = field(default_factory=dict)
    categorical: Mapping[str, Categories] = field(default_factory=dict)
    score: np.ndarray | None = None
    raw: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self.numeric.items()}
        lengths |= {name: len(column.codes) for name, column in self.categorical.items()}
        if self.score is not None:
            lengths["score"] = len(self.score)
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in sorted(lengths.items()))
            raise DriftError(
                Finding(f"columns differ in length: {told}", "rows", "one value a row in each column", "pass the columns of one table")
            )  # fmt: skip
        for column, values in self.numbers().items():
            if np.isinf(values).any():
                raise DriftError(
                    Finding(f"row {int(np.argmax(np.isinf(values)))} is infinite", f"column {column}", "finite numbers, NaN for missing", "let the feature view return NaN for missing")
                )  # fmt: skip

    @property
    def count(self) -> int:
        for values in self.numbers().values():
            return len(values)
        for column in self.categorical.values():
            return len(column.codes)
        return 0

    def numbers(self) -> dict[Column, np.ndarray]:
        """The numeric columns, the score among them."""
        scored = {} if self.score is None else {SCORE: self.score}
        return {Column("feature", name): values for name, values in self.numeric.items()} | scored


def rows_of(
    table: pa.Table,
    numeric: Sequence[str],
    categorical: Sequence[str],
    *,
    score: np.ndarray | None = None,
    raw: pa.Table | None = None,
) -> Rows:
    """Rows of a table of features (numbers, and text or dictionaries of text), scores [N] and the raw table whose nulls count.

    Raises DriftError where a column is not there, or of another kind.
    """

    absent = [name for name in (*numeric, *categorical) if name not in table.column_names]
    if absent:
        raise DriftError(
            Finding(f"there is no column {', '.join(absent)}", "feature rows", "every feature of the model", "compute the features with the model's own recipe")
        )  # fmt: skip
    numbers = {name: _numbers(table[name], name) for name in numeric}
    words = {name: _categories(table[name], name) for name in categorical}
    nulls = {} if raw is None else {name: (_nulls(raw[name]), raw.num_rows) for name in raw.column_names}
    return Rows(numbers, words, score, nulls)


def _numbers(column: pa.ChunkedArray, name: str) -> np.ndarray:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise DriftError(
            Finding(f"{name} has type {kind}", f"column {name}", "numbers", "list it under features.categorical")
        )
    if column.null_count == 0 and pa.types.is_floating(kind):
        return column.to_numpy()
    return column.cast(pa.float64()).fill_null(float("nan")).to_numpy()


def _categories(column: pa.ChunkedArray, name: str) -> Categories:
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_null(kind):
        return Categories(np.full(len(column), -1), ())
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise DriftError(Finding(f"{name} has type {kind}", f"column {name}", "text", "list it under features.numeric"))
    encoded = column.cast(kind).dictionary_encode().combine_chunks()  # of one dictionary, whose values are distinct
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.unify_dictionaries().chunks)
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return Categories(codes, tuple(encoded.dictionary.to_pylist()))


def _nulls(column: pa.ChunkedArray) -> int:
    """Nulls of a raw column; in a column of floats NaN is one too."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return column.null_count
    return int(pc.sum(pc.is_null(column, nan_is_null=True)).as_py() or 0)  # pyright: ignore[reportAttributeAccessIssue]
