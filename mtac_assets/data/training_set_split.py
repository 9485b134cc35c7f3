"""The rows of one part of a recipe, read from its feature partitions: which rows are meant, and which are set aside.

Training streams them day by day into arrays (`training_set`); evaluation takes the test part whole (`load_split`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from mtac_assets.data.features import materialise, read_features, require_stamped
from mtac_assets.data.features_check import DAY, LABEL
from mtac_assets.data.partitions import read_table
from mtac_assets.data.training_set_rows import parts, row_hashes
from mtac_assets.data.training_set_schema import FeatureSchema, encode
from mtac_assets.provenance import keys as derived
from mtac_assets.provenance.keys import day_inputs
from mtac_assets.spec.load import load_dataset

if TYPE_CHECKING:
    import pandas as pd

    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

Part = Literal["train", "validate", "test"]
PARTS: tuple[Part, ...] = ("train", "validate", "test")


@dataclass(frozen=True)
class PartitionRows:
    """Labelled rows of one part in one partition, how many had no label, and each row's hash (uint64 [N], by key)."""

    table: pa.Table
    excluded_unlabelled: int
    row_hashes: np.ndarray


@dataclass(frozen=True)
class PartReader:
    """Reads the labelled rows of a recipe's parts, partition by partition, from features computed under the keys given."""

    project: Project
    resolved: ResolvedRecipe
    data_dir: Path
    key_columns: tuple[str, ...]
    feature_keys: Mapping[str, str]

    def days(self, part: Part) -> tuple[str, ...]:
        return getattr(self.resolved.windows(), part)

    def rows(self, part: Part, day: str, columns: Sequence[str] | None = None) -> PartitionRows:
        """The labelled rows of `part` in the partition `day`, in the partition's order; only `columns` of the features where given."""
        wanted = None if columns is None else list(dict.fromkeys((*self.key_columns, LABEL, *columns)))
        table = read_features(self.project, self.resolved, day, self.feature_keys[day], wanted)
        if self.resolved.recipe.split is not None:
            source = read_table(self.data_dir, self.resolved.recipe.data.rows, day)
            table = table.filter(pa.array(parts(source, self.resolved.recipe.split) == PARTS.index(part)))
        labelled = ~np.isnan(table[LABEL].to_numpy())
        kept = table.filter(pa.array(labelled))
        return PartitionRows(kept, int((~labelled).sum()), row_hashes(kept, self.key_columns))

    def stream(self, part: Part, columns: Sequence[str] | None = None) -> Iterator[PartitionRows]:
        for day in self.days(part):
            yield self.rows(part, day, columns)


def open_parts(
    project: Project, resolved: ResolvedRecipe, days: Sequence[str], data_dir: Path | None = None
) -> PartReader:
    """A reader over up-to-date features of `days`. Raises Unstamped where data they look at did not pass its contract."""
    folder = data_dir or project.state.data
    materialise(project, resolved, days, data_dir)
    inputs = day_inputs(project, resolved, days, data_dir)
    require_stamped(project, folder, [name for day in inputs.values() for name in day])
    keys = derived.feature_keys(project, resolved, days, data_dir)
    return PartReader(project, resolved, folder, load_dataset(project, resolved.recipe.data.rows).key, keys)


@dataclass(frozen=True, eq=False)
class LoadedSplit:
    """Labelled rows [N], ready to be scored and cut: the feature frame with its slice columns, and the arrays of a schema.

    `day` is int32 [N] (days since 1970-01-01, 0 without time), `label` float32 [N] of 0 and 1, `row_hashes` uint64 [N].
    """

    frame: pd.DataFrame
    numeric: np.ndarray
    categorical: np.ndarray
    label: np.ndarray
    day: np.ndarray
    row_hashes: np.ndarray
    days: tuple[str, ...]
    excluded_unlabelled: int

    def __len__(self) -> int:
        return len(self.label)


def load_split(
    project: Project,
    resolved: ResolvedRecipe,
    days: Sequence[str] | None = None,
    *,
    schema: FeatureSchema,
    part: Part = "test",
    data_dir: Path | None = None,
) -> LoadedSplit:
    """The labelled rows of `part` on `days` (default: all days of the part), encoded by `schema`, the model's own.

    Features that are missing or stale are computed first. Raises what `materialise` raises; memory grows with the rows.
    """
    wanted = tuple(days) if days is not None else getattr(resolved.windows(), part)
    reader = open_parts(project, resolved, wanted, data_dir)
    found = [reader.rows(part, day) for day in wanted]
    table = pa.concat_tables([rows.table for rows in found]).unify_dictionaries()
    numeric, categorical = encode(table, schema)
    return LoadedSplit(
        frame=table.to_pandas(),
        numeric=numeric,
        categorical=categorical,
        label=table[LABEL].to_numpy(),
        day=day_numbers(table),
        row_hashes=np.concatenate([rows.row_hashes for rows in found]),
        days=wanted,
        excluded_unlabelled=sum(rows.excluded_unlabelled for rows in found),
    )


def day_numbers(table: pa.Table) -> np.ndarray:
    """int32 [N]: the rows' days since 1970-01-01."""
    return table[DAY].cast(pa.int32()).to_numpy()
