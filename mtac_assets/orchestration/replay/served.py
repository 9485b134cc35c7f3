"""Live scores as they were served: each day by the model that was champion then, with the labels that came in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance.files import atomic_path

if TYPE_CHECKING:
    import pyarrow as pa

    from mtac_assets.spec.project import Project

METRICS = ("log_loss", "roc_auc")


def served_days(project: Project, recipe: str, served: Mapping[str, str]) -> tuple[list[dict[str, Any]], pa.Table]:
    """One entry for each day of `served` (day to the Model ID of its champion) with its metrics, and all labelled rows.

    The table: `day` (days since 1970-01-01, int32), `label`, `score`, days in order, rows in the order of the dataset's key. A day
    whose file never became a partition has no scores: its entry says `rows` 0.
    """
    import numpy as np
    import pyarrow as pa

    from mtac_assets.data.readers.days import day_number
    from mtac_assets.evaluation.metrics import point
    from mtac_assets.evaluation.scored_rows import scored_rows
    from mtac_assets.monitoring.stored_predictions import LABEL, SCORE, read_scores, scored_days

    by_model: dict[str, list[str]] = {}
    for day, model_id in served.items():
        by_model.setdefault(model_id, []).append(day)
    tables: dict[str, pa.Table] = {}
    for model_id, days in by_model.items():
        there = set(scored_days(project, recipe, model_id))
        found = read_scores(project, recipe, model_id, [day for day in days if day in there])
        tables |= {day: table for day, (_, table) in found.items()}
    entries: list[dict[str, Any]] = []
    parts: list[pa.Table] = []
    for day, model_id in sorted(served.items()):
        table = tables.get(day)
        entry: dict[str, Any] = {"day": day, "champion": model_id, "rows": 0, "labelled": 0}
        if table is not None:
            labels, scores = table[LABEL].to_numpy(), table[SCORE].to_numpy()
            known = ~np.isnan(labels)
            number = np.full(int(known.sum()), day_number(day), dtype=np.int32)
            entry |= {"rows": len(labels), "labelled": len(number)}
            if len(number):
                rows = scored_rows(labels[known], number, scores[known], day)
                entry |= {name: point(rows, name) for name in METRICS}
                parts.append(pa.table({"day": number, "label": labels[known], "score": scores[known]}))
        entries.append(entry)
    empty = pa.schema([("day", pa.int32()), ("label", pa.float32()), ("score", pa.float64())]).empty_table()
    return entries, pa.concat_tables([empty, *parts])


def write_scores(table: pa.Table, path: Path) -> None:
    import pyarrow.parquet as pq

    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
