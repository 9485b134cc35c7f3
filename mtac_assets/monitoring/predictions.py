"""A model scores days: features by its own recipe and code, one file of scores a day, kept under the key of what it depends on.

Belongs here: which days have to be scored, scoring them, writing what comes out. What the files are is `stored_predictions`,
the same in a process of its own `launch`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mtac_assets.monitoring import stored_predictions as stored
from mtac_assets.monitoring.errors import MonitoringError
from mtac_assets.monitoring.feature_rows import Inputs, feature_inputs, feature_rows
from mtac_assets.monitoring.scorer import Model, load, open_model, require_own_code
from mtac_assets.monitoring.stored_predictions import LABEL, SCORE, PredictionManifest
from mtac_assets.provenance.digest import digest_json, sha256_bytes
from mtac_assets.provenance.files import AtomicBatch, json_bytes
from mtac_assets.spec.errors import Finding

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from mtac_assets.spec.project import Project

WRITTEN_TOGETHER = 64  # days that share one round of fsync


@dataclass(frozen=True)
class DayScores:
    """What became of one day. `path`: the scores; `labelled`: rows whose label is known."""

    key: str
    status: Literal["scored", "unchanged"]
    rows: int
    labelled: int
    digest: str
    path: Path

    @classmethod
    def of(cls, status: Literal["scored", "unchanged"], manifest: PredictionManifest, folder: Path) -> DayScores:
        path = stored.scores_path(folder, manifest.day)
        return cls(manifest.day, status, manifest.rows, manifest.labelled, manifest.content_digest, path)


@dataclass(frozen=True)
class _Work:
    """What is there and what is to do. `keys`: day to (prediction key, feature key) of all days asked for."""

    kept: dict[str, PredictionManifest]
    pending: tuple[str, ...]
    keys: dict[str, tuple[str, str]]
    inputs: Inputs


def pending_days(
    project: Project,
    model_id: str,
    keys: Iterable[str],
    *,
    pack: Path | None = None,
    data_dir: Path | None = None,
    out: Path | None = None,
) -> tuple[str, ...]:
    """Those of `keys` that `score_days` would score. Raises what it raises before it loads the model; imports nothing heavy."""
    model = open_model(project, model_id, pack)
    require_own_code(project, model)
    return _work(project, model, keys, data_dir, out or stored.folder_of(project, model.recipe, model_id)).pending


def score_days(
    project: Project,
    model_id: str,
    keys: Iterable[str],
    *,
    pack: Path | None = None,
    data_dir: Path | None = None,
    out: Path | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[DayScores, ...]:
    """Bring the model's scores of the days `keys` up to date; one entry a day, in that order.

    A day whose key is unchanged and whose file is intact is kept; labels that have arrived since change the key. `pack`,
    `data_dir` and `out` name places other than the state's: `project` may be the model's own checkout.

    Raises, before a row is scored: OtherCode where the project's code is not the model's, FeatureError where a day or its
    history is missing, Unstamped, PackInvalid where the pack is damaged or golden rows differ. A day is written whole or
    not at all; days before an error stay.
    """
    model = open_model(project, model_id, pack)
    require_own_code(project, model)
    folder = out or stored.folder_of(project, model.recipe, model_id)
    asked = tuple(dict.fromkeys(keys))
    work = _work(project, model, asked, data_dir, folder)
    done = {day: DayScores.of("unchanged", manifest, folder) for day, manifest in work.kept.items()}
    if work.pending:
        done |= {day.key: day for day in _score(project, model, work, data_dir, folder, note)}
    return tuple(done[day] for day in asked)


def _work(project: Project, model: Model, days: Iterable[str], data_dir: Path | None, folder: Path) -> _Work:
    asked = tuple(dict.fromkeys(days))
    features, inputs = feature_inputs(project, model.resolved, asked, data_dir)
    keys = {
        day: (
            digest_json([stored.SCHEMA_VERSION, model.model_id, model.pack.weights_digest, features[day]]),
            features[day],
        )
        for day in asked
    }
    kept = {}
    for day in asked:
        manifest = PredictionManifest.read(stored.manifest_path(folder, day))
        if manifest is not None and manifest.key == keys[day][0] and stored.intact(folder, day, manifest):
            kept[day] = manifest
    return _Work(kept, tuple(day for day in sorted(asked) if day not in kept), keys, inputs)


def _score(
    project: Project, model: Model, work: _Work, data_dir: Path | None, folder: Path, note: Callable[[str], None]
) -> list[DayScores]:
    key_columns = _key_columns(project, model)
    rows_of = model.resolved.rows
    note(f"loading {model.model_id} and scoring its golden rows")
    predictor = load(model)
    done: list[DayScores] = []
    batch: list[tuple[PredictionManifest, bytes]] = []
    features = feature_rows(
        project, model.resolved, {day: work.keys[day][1] for day in work.pending}, work.inputs, data_dir
    )
    for day, table in features:
        scored = score_table(table, predictor.predict(table), key_columns, f"{model.model_id}/{day}")
        data = _parquet(scored)
        manifest = PredictionManifest(
            recipe=model.recipe,
            model_id=model.model_id,
            weights_digest=model.pack.weights_digest,
            day=day,
            key=work.keys[day][0],
            feature_key=work.keys[day][1],
            input_digest=work.inputs[day][f"{rows_of}/{day}"],
            inputs=work.inputs[day],
            key_columns=key_columns,
            rows=scored.num_rows,
            labelled=_known(scored),
            content_digest=_content(scored, key_columns),
            file_sha256=sha256_bytes(data),
            file_size=len(data),
        )
        batch.append((manifest, data))
        done.append(DayScores.of("scored", manifest, folder))
        if len(batch) == WRITTEN_TOGETHER:
            _write(folder, batch)
            note(f"{len(done)} of {len(work.pending)} days")
            batch = []
    _write(folder, batch)
    note(f"{len(done)} days scored, {sum(day.rows for day in done):,} rows")
    return done


def score_table(features: pa.Table, scores: np.ndarray, key_columns: tuple[str, ...], where: str) -> pa.Table:
    """Key columns, `score` float64 and `label` float32 of feature rows [N] in their order. EvaluationError where a score is
    no probability."""
    import pyarrow as pa

    from mtac_assets.evaluation.scored_rows import checked_scores

    checked = checked_scores(scores, features.num_rows, where)
    columns = {name: features[name] for name in key_columns}
    return pa.table({**columns, SCORE: checked, LABEL: features[LABEL]})


def _key_columns(project: Project, model: Model) -> tuple[str, ...]:
    from mtac_assets.spec.load import load_dataset

    dataset = load_dataset(project, model.resolved.rows)
    taken = [name for name in dataset.key if name in (SCORE, LABEL)]
    if taken:
        finding = Finding(
            f"the key column {taken[0]} has the name of a column of predictions",
            f"dataset {dataset.name}",
            f"names other than {SCORE} and {LABEL}",
            "rename the column",
        )
        raise MonitoringError(finding)
    return tuple(dataset.key)


def _known(scored: pa.Table) -> int:
    import numpy as np

    return scored.num_rows - int(np.isnan(scored[LABEL].to_numpy()).sum())


def _content(scored: pa.Table, key_columns: tuple[str, ...]) -> str:
    from mtac_assets.data.content import content_digest

    return content_digest(scored, list(key_columns))


def _parquet(table: pa.Table) -> bytes:
    """The same bytes for the same table."""
    from io import BytesIO

    import pyarrow.parquet as pq

    buffer = BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_statistics=False, row_group_size=max(table.num_rows, 1))
    return buffer.getvalue()


def _write(folder: Path, batch: list[tuple[PredictionManifest, bytes]]) -> None:
    with AtomicBatch() as files:
        for manifest, data in batch:
            files.add(stored.scores_path(folder, manifest.day), data)
        for manifest, _ in batch:  # last: a document vouches for a file that is there
            files.add(stored.manifest_path(folder, manifest.day), json_bytes(manifest.document()))
