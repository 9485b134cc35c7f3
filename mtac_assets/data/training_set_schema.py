"""What a model sees of a row: names and vocabularies, and the one way from feature rows to the arrays that a model takes.

Training, evaluation, monitoring and serving all encode through here. Fitted constants (means, quantiles) are not part of it; they
lie inside the model. Vocabularies are collected from the train split alone (`training_set`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

MISSING = 0
"""Index of a null and of a value that the train split never showed."""


class EncodingError(MtacError):
    """Feature rows that do not fit the schema."""


@dataclass(frozen=True)
class FeatureSchema:
    """`vocabularies[i]` lists the known values of `categorical[i]`: the value at place p has index p + 1, all others index 0."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    vocabularies: tuple[tuple[str, ...], ...]

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> FeatureSchema:
        """From a training set's manifest, or from `document()`."""
        features = manifest["categorical"]
        return cls(
            tuple(manifest["numeric"]),
            tuple(feature["name"] for feature in features),
            tuple(tuple(feature["vocabulary"]) for feature in features),
        )

    @property
    def vocabulary_sizes(self) -> tuple[int, ...]:
        return tuple(len(vocabulary) for vocabulary in self.vocabularies)

    def document(self) -> dict[str, Any]:
        """Plain JSON values, as manifests and packs carry them."""
        pairs = zip(self.categorical, self.vocabularies, strict=True)
        return {
            "numeric": list(self.numeric),
            "categorical": [{"name": name, "vocabulary": list(vocabulary)} for name, vocabulary in pairs],
        }


def encode(frame: pa.Table | pd.DataFrame, schema: FeatureSchema) -> tuple[np.ndarray, np.ndarray]:
    """Feature rows as arrays: numeric float32 [N, F] with NaN for missing, categorical int32 [N, C] with 0 for missing or unseen.

    Columns are found by name; others are ignored. Raises EncodingError where one is missing, is not numeric or not text,
    or holds an infinite number.
    """
    import pyarrow as pa

    table = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
    present = set(table.column_names)
    missing = [name for name in (*schema.numeric, *schema.categorical) if name not in present]
    if missing:
        raise EncodingError(
            Finding(f"there is no column {', '.join(missing)}", "feature rows", "every column of the model's schema", "compute the features with the model's own recipe")
        )  # fmt: skip
    numeric = np.empty((table.num_rows, len(schema.numeric)), dtype=np.float32)
    for place, name in enumerate(schema.numeric):
        numeric[:, place] = _numbers(table[name], name)
    categorical = np.empty((table.num_rows, len(schema.categorical)), dtype=np.int32)
    for place, (name, vocabulary) in enumerate(zip(schema.categorical, schema.vocabularies, strict=True)):
        categorical[:, place] = _indices(table[name], name, vocabulary)
    return numeric, categorical


def _numbers(column: pa.ChunkedArray, name: str) -> np.ndarray:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_float32(kind) and column.null_count == 0:
        return _finite(column.to_numpy(), name)
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise EncodingError(
            Finding(f"{name} has type {kind}", f"column {name}", "numbers or booleans", "pass the column as a number")
        )
    values = column.cast(pa.float64()).fill_null(float("nan")).to_numpy()
    with np.errstate(over="ignore"):
        return _finite(values.astype(np.float32), name)


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    infinite = np.isinf(values)
    if infinite.any():
        raise EncodingError(
            Finding(f"{name} is infinite in row {int(np.argmax(infinite))}", f"column {name}", "finite numbers within float32", "pass NaN for missing")
        )  # fmt: skip
    return values


def _indices(column: pa.ChunkedArray, name: str, vocabulary: tuple[str, ...]) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        return np.full(len(column), MISSING, dtype=np.int32)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise EncodingError(Finding(f"{name} has type {column.type}", f"column {name}", "strings, null for missing", "pass the column as strings"))  # fmt: skip
    words = pa.array(vocabulary, type=column.type)
    places = pc.index_in(column, value_set=words, skip_nulls=True)  # pyright: ignore[reportAttributeAccessIssue]
    return places.cast(pa.int32()).fill_null(MISSING - 1).to_numpy() + np.int32(1)
