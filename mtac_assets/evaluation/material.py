"""What an evaluation works on: the test rows, and the very training rows that the model and the baselines learned from.

Rows are told apart by the hash of their key (data.training_set_rows), so that an overlap of training and test rows is counted
row by row, whatever the windows say. What does not belong here: scoring and metrics.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mtac_assets.data import training_set
from mtac_assets.evaluation.baselines import Rows
from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.pack import Pack

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Material:
    """N test rows and M training rows.

    `frame`: the test rows' feature frame; `labels` float32 [N]; `days` ISO strings [N], None for a recipe without time;
    `row_hashes` uint64 [N]; `slices`: column to strings and None [N]. `train_labels` float32 [M]. `train`, `validate`,
    `test`: days, rows, positives, excluded_unlabelled and digest of each part, as the report carries them.
    """

    frame: pd.DataFrame
    labels: np.ndarray
    days: np.ndarray | None
    row_hashes: np.ndarray
    slices: Mapping[str, np.ndarray]
    test_rows: Rows
    train_rows: Rows
    train_labels: np.ndarray
    train: dict[str, Any]
    validate: dict[str, Any]
    test: dict[str, Any]
    overlap_rows: int


def gather(project: Project, resolved: ResolvedRecipe, data_dir: Path | None = None) -> Material:
    """Read (and where they are missing, build) training set and test features. Raises what those raise, and
    EvaluationError where no test row has a label."""
    learned = training_set.build(project, resolved, data_dir)
    split = training_set.load_split(project, resolved, schema=learned.schema, data_dir=data_dir)
    if len(split) == 0:
        raise EvaluationError(
            Finding(
                f"none of the test rows has a label ({split.excluded_unlabelled} were set aside)",
                f"{resolved.name}: {', '.join(split.days[:3])} …",
                "labelled rows to test on",
                "choose an as-of date whose test days have outcomes, or correct features.label",
            )
        )
    timed = resolved.recipe.window is not None
    cardinality = tuple(size + 1 for size in learned.schema.vocabulary_sizes)
    known = [np.asarray(learned.array(part, "rows")) for part in ("train", "validate")]
    return Material(
        frame=split.frame,
        labels=split.label,
        days=split.day.astype("datetime64[D]").astype(str) if timed else None,
        row_hashes=split.row_hashes,
        slices={name: _strings(split.frame[name]) for name in resolved.recipe.features.slices},
        test_rows=Rows(split.numeric, split.categorical, cardinality),
        train_rows=Rows(learned.array("train", "numeric"), learned.array("train", "categorical"), cardinality),
        train_labels=learned.array("train", "label"),
        train=_part(learned, "train"),
        validate=_part(learned, "validate"),
        test={
            "days": list(split.days),
            "rows": len(split),
            "positives": int(split.label.sum()),
            "excluded_unlabelled": split.excluded_unlabelled,
            "digest": rows_digest(split.row_hashes, split.label),
        },
        overlap_rows=int(np.isin(split.row_hashes, np.concatenate(known)).sum()),
    )


def rows_digest(row_hashes: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 over which rows these are, in order, and their labels. Features are no part: two models that look at other
    columns of the same rows are tested on the same rows."""
    digest = hashlib.sha256(np.ascontiguousarray(row_hashes, "<u8").data)
    digest.update(np.ascontiguousarray(labels, "<f4").data)
    return digest.hexdigest()


def champion_frame(
    project: Project, resolved: ResolvedRecipe, champion: Pack, material: Material, data_dir: Path | None
) -> pd.DataFrame:
    """The feature frame by which the champion scores the test rows, in their order.

    Where the champion's recipe asks for other features they are computed here, by the code as it is now, and not kept.
    """
    from mtac_assets.spec.load import load_resolved

    theirs = load_resolved(champion.folder / "recipe.json", project)
    if theirs.recipe.features == resolved.recipe.features and theirs.recipe.data == resolved.recipe.data:
        return material.frame
    if theirs.recipe.data.rows != resolved.recipe.data.rows:
        raise EvaluationError(
            Finding(
                f"the champion's rows are {theirs.recipe.data.rows}, this model's are {resolved.recipe.data.rows}",
                str(champion.folder),
                "two models of the same rows",
                "compare models of one dataset; a change of data.rows is a new recipe",
            )
        )
    frame, hashes = _computed(project, theirs, material.test["days"], data_dir)
    order = np.argsort(hashes)
    place = order[np.searchsorted(hashes, material.row_hashes, sorter=order).clip(max=len(hashes) - 1)]
    if not np.array_equal(hashes[place], material.row_hashes):
        missing = int((hashes[place] != material.row_hashes).sum())
        raise EvaluationError(
            Finding(
                f"{missing} test rows have no features by the champion's recipe",
                str(champion.folder),
                "the same rows for both models",
                "look at the key of the dataset and the champion's view",
            )
        )
    return frame.iloc[place]


def _computed(
    project: Project, resolved: ResolvedRecipe, days: Sequence[str], data_dir: Path | None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Feature rows of `days` by a recipe whose partitions are not kept: the kept ones are the recipe's present ones."""
    import pyarrow as pa

    from mtac_assets.data.features import require_stamped
    from mtac_assets.data.features_day import FeatureRun
    from mtac_assets.data.features_view import load_definition
    from mtac_assets.data.partitions import present, read_table
    from mtac_assets.data.training_set_rows import row_hashes
    from mtac_assets.provenance.keys import day_inputs

    folder = data_dir or project.state.data
    require_stamped(
        project, folder, [name for day in day_inputs(project, resolved, days, data_dir).values() for name in day]
    )
    names = (resolved.recipe.data.rows, *resolved.recipe.data.lookups)
    there = {name: present(folder, name) for name in names}
    definition = load_definition(project, resolved)
    run = FeatureRun(definition, lambda name, key: read_table(folder, name, key) if key in there[name] else None)
    table = pa.concat_tables([run.compute(day) for day in sorted(days)]).unify_dictionaries()
    return table.to_pandas(), row_hashes(table, definition.key)


def _part(learned: training_set.TrainingSet, name: str) -> dict[str, Any]:
    split = learned.manifest["splits"][name]
    return {key: split[key] for key in ("days", "rows", "positives", "excluded_unlabelled", "digest")}


def _strings(column: Any) -> np.ndarray:
    """Values of a slice column (a Series) as strings, None where missing, object [N]."""
    values = column.astype(object)
    return np.array(
        [None if missing else str(value) for value, missing in zip(values, column.isna(), strict=True)], dtype=object
    )
