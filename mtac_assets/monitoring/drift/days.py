"""Days of a project as blocks: the model's features as they are stored, the scores that the caller has, the raw nulls.

Nothing is computed here: features come from `data.features`, scores from whoever scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtac_assets.monitoring.drift.reference import Block, Reference, build
from mtac_assets.monitoring.drift.rows import DriftError, rows_of
from mtac_assets.spec.errors import Finding

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe


def day_block(
    project: Project,
    resolved: ResolvedRecipe,
    key: str,
    *,
    scores: np.ndarray | None = None,
    data_dir: Path | None = None,
) -> Block:
    """One materialised day [N rows] with its day of the week. `scores` float [N], in the order of the features' rows.

    Raises DriftError where scores and rows differ in number, and what reading features and partitions raises.
    """
    (block,) = day_blocks(project, resolved, [key], scores=None if scores is None else {key: scores}, data_dir=data_dir)
    return block


def day_blocks(
    project: Project,
    resolved: ResolvedRecipe,
    keys: Sequence[str],
    *,
    scores: Mapping[str, np.ndarray] | None = None,
    data_dir: Path | None = None,
) -> tuple[Block, ...]:
    """`day_block` of several days, the inputs' digests looked up once. Raises DriftError where a day's scores are absent too."""
    from mtac_assets.provenance.keys import feature_keys

    if scores is not None:
        _require_scores(keys, scores)
    under = feature_keys(project, resolved, keys, data_dir)
    return tuple(_block(project, resolved, key, under[key], scores, data_dir or project.state.data) for key in keys)


def _block(
    project: Project,
    resolved: ResolvedRecipe,
    key: str,
    feature_key: str,
    scores_of: Mapping[str, np.ndarray] | None,
    data_dir: Path,
) -> Block:
    from mtac_assets.data.features import read_features
    from mtac_assets.data.partitions import read_table

    features = resolved.fields["features"]
    scores = None if scores_of is None else scores_of[key]
    table = read_features(project, resolved, key, feature_key)
    raw = read_table(data_dir, resolved.fields["data"]["rows"], key)
    if scores is not None and len(scores) != table.num_rows:
        raise DriftError(
            Finding(f"{len(scores)} scores for {table.num_rows} rows", f"day {key}", "a score for each row of the features", "score the day anew")
        )  # fmt: skip
    rows = rows_of(table, features["numeric"], features["categorical"], score=scores, raw=raw)
    return Block(key, rows, date.fromisoformat(key).weekday())


def reference_of(
    project: Project,
    resolved: ResolvedRecipe,
    model_id: str,
    *,
    scores: Mapping[str, np.ndarray] | None = None,
    data_dir: Path | None = None,
) -> Reference:
    """The reference of a model: the days that it was trained and validated on. `scores`: of each of these days, or None
    for a reference without the score. Raises DriftError where a day's scores are absent."""
    windows = resolved.windows()
    keys = (*windows.train, *windows.validate)
    blocks = day_blocks(project, resolved, keys, scores=scores, data_dir=data_dir)
    return build(blocks, {"model_id": model_id, "recipe": resolved.name, "as_of": str(resolved.as_of)})


def _require_scores(keys: Iterable[str], scores: Mapping[str, np.ndarray]) -> None:
    absent = [key for key in keys if key not in scores]
    if absent:
        raise DriftError(
            Finding(f"no scores of {', '.join(absent)}", "drift", "scores of every day", "score these days with the model")
        )  # fmt: skip
