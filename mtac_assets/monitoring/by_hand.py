"""`mtac predict`: rows of a file through the same features and the same model as the days that are ingested.

A row's own day comes from the file; what its features look back on comes from the partitions that are there. Rows of the file
are nobody's history, not even each other's: their outcome is not known yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mtac_assets.data.features import compute_day, require_stamped
from mtac_assets.data.features_view import FeatureDefinition, load_definition
from mtac_assets.data.partitions import read_table
from mtac_assets.monitoring.errors import MonitoringError
from mtac_assets.monitoring.predictions import score_table
from mtac_assets.monitoring.raw_rows import RawDay, form_of, read_rows
from mtac_assets.monitoring.scorer import load, open_model, require_own_code, unseen_categories
from mtac_assets.monitoring.stored_predictions import LABEL
from mtac_assets.provenance import keys as derived
from mtac_assets.provenance.files import atomic_path
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.load import load_dataset

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


@dataclass(frozen=True)
class Answer:
    """What became of a file. `missing`: partitions that the features look at and that are not there; `unseen`: column to rows
    with a category that the model never saw; `not_asked`: rules of the contract that need an outcome column."""

    model_id: str
    rows: int
    labelled: int
    days: tuple[str, ...]
    missing: tuple[str, ...]
    unseen: dict[str, int]
    not_asked: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        return {
            "model_id": self.model_id,
            "rows": self.rows,
            "labelled": self.labelled,
            "days": list(self.days),
            "missing_partitions": list(self.missing),
            "unseen_categories": self.unseen,
            "rules_not_asked": list(self.not_asked),
        }


def require_free(source: Path, out: Path, force: bool) -> None:
    """MonitoringError where `out` is there and not to be replaced, is the input, or has no format that is written here."""
    form_of(out, "--output")
    if out.exists() and out.resolve() == source.resolve():
        raise MonitoringError(Finding("the output is the input", str(out), "another file", "name another file"))
    if out.is_dir() or (out.exists() and not force):
        raise MonitoringError(
            Finding("the file exists", str(out), "a file that is not there yet", "name another file, or add --force")
        )


def predict_file(
    project: Project,
    model_id: str,
    source: Path,
    out: Path,
    *,
    force: bool = False,
    pack: Path | None = None,
    data_dir: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Answer:
    """Score the rows of `source` and write key columns, `score` and `label` to `out`, in the order of the rows.

    Raises what `read_rows` and `score_days` raise. `out` is written whole or not at all.
    """
    require_free(source, out, force)
    model = open_model(project, model_id, pack)
    require_own_code(project, model)
    dataset = load_dataset(project, model.resolved.rows)
    raw = read_rows(project, dataset, source)
    definition = load_definition(project, model.resolved)
    if raw.absent:  # without the outcome there is no label, whatever the label function makes of nothing
        definition = replace(definition, label=_unknown)
    days = [day.key for day in raw.days]
    inputs = derived.day_inputs(project, model.resolved, days, data_dir)
    # Of each day its own rows come from the file; all else that its features look at comes from partitions.
    looked_at = {
        name: digest for day in days for name, digest in inputs[day].items() if name != f"{dataset.name}/{day}"
    }
    missing = sorted(name for name, digest in looked_at.items() if digest is None)
    if missing:
        note(f"{len(missing)} partitions that the features look at are not there, the first is {missing[0]}")
    note(f"loading {model_id} and scoring its golden rows")
    predictor = load(model)
    folder = data_dir or project.state.data
    require_stamped(project, folder, sorted(looked_at.keys() - set(missing)))
    tables, unseen, lines = [], dict[str, int](), []
    for day in raw.days:
        features = _features(definition, folder, day, inputs[day.key])
        tables.append(score_table(features, predictor.predict(features), definition.key, f"{source}, {day.key}"))
        lines.append(day.line)
        for name, count in unseen_categories(features, predictor).items():
            unseen[name] = unseen.get(name, 0) + count
    scored = pa.concat_tables(tables).unify_dictionaries().take(pa.array(np.argsort(np.concatenate(lines))))
    _write(scored, out)
    labelled = scored.num_rows - int(np.isnan(scored[LABEL].to_numpy()).sum())
    return Answer(model_id, scored.num_rows, labelled, tuple(days), tuple(missing), unseen, raw.not_asked)


def _features(definition: FeatureDefinition, folder: Path, day: RawDay, inputs: dict[str, str | None]) -> pa.Table:
    """Feature rows of one day of the file, its history from the partitions. A day alone: no row of the file is another's past."""

    def read(dataset: str, key: str) -> pa.Table | None:
        if (dataset, key) == (definition.rows, day.key):
            return day.table
        name = f"{dataset}/{key}"
        # A day of the file that is ingested already may be looked back on, as the partition that it is.
        return read_table(folder, dataset, key) if inputs.get(name) is not None else None

    return compute_day(definition, read, day.key)


def _unknown(rows: pd.DataFrame) -> pd.Series:
    return pd.Series(np.full(len(rows), np.nan, dtype=np.float32), index=rows.index)


def _write(table: pa.Table, out: Path) -> None:
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    with atomic_path(out) as temporary:
        if form_of(out, "--output") == "parquet":
            pq.write_table(table, temporary, compression="zstd")
        else:
            pacsv.write_csv(_plain(table), temporary)


def _plain(table: pa.Table) -> pa.Table:
    """What CSV can say: categories as text, an unknown label as an empty field."""
    columns = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_dictionary(field.type):
            columns[field.name] = column.cast(field.type.value_type)
        elif field.name == LABEL:
            columns[field.name] = pa.array(column.to_numpy(), from_pandas=True)
        else:
            columns[field.name] = column
    return pa.table(columns)
