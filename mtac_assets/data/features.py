"""Feature partitions: one a day, computed by the recipe's view from verified, stamped data, and kept under the key of their inputs.

Belongs here: reading the partitions that a range of days looks at, once each; writing what the view made of them; reading it back.
What a view is given is `features_day`, what may be asked of the past `point_in_time`, what is stale `features_plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mtac_assets.data import features_plan as plan
from mtac_assets.data.content import content_digest, type_name
from mtac_assets.data.contract.source import contract_digest
from mtac_assets.data.contract.stamp import require_stamps
from mtac_assets.data.features_check import LABEL
from mtac_assets.data.features_day import FeatureRun, Read
from mtac_assets.data.features_plan import FeatureManifest
from mtac_assets.data.features_view import FeatureDefinition, FeatureError, load_definition
from mtac_assets.data.partitions import CATEGORY, read_table
from mtac_assets.provenance import keys as derived
from mtac_assets.provenance.digest import sha256_bytes
from mtac_assets.provenance.files import AtomicBatch, json_bytes
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.load import load_dataset

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

WRITTEN_TOGETHER = 64  # days that share one round of fsync
ROWS_KEPT = 200_000  # of past days, some tens of megabytes, by a run that may go on


@dataclass(frozen=True)
class FeatureDay:
    """What became of one day. `digest` is that of the features' content; `columns` are name and type."""

    key: str
    status: Literal["computed", "unchanged"]
    digest: str
    rows: int
    labelled: int
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FeatureResult:
    """One entry for each day asked for, in that order."""

    days: tuple[FeatureDay, ...]

    @property
    def computed(self) -> tuple[FeatureDay, ...]:
        return tuple(day for day in self.days if day.status == "computed")

    @property
    def rows(self) -> int:
        return sum(day.rows for day in self.days)


Progress = Callable[[FeatureDay], None]


def materialise(
    project: Project,
    resolved: ResolvedRecipe,
    keys: Iterable[str],
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> FeatureResult:
    """Bring the feature partitions of the days `keys` up to date; a day with an unchanged key and intact file is kept.

    `data_dir` holds partitions with manifests and stamps (default: the project's state). Raises FeatureError where the view or
    its answer is at fault, or data that a day looks at is missing; Unstamped where it was not validated. Days written before
    the error stay; nothing is ever partial.
    """
    asked = tuple(dict.fromkeys(keys))
    folder = data_dir or project.state.data
    code = derived.features_digest(project, resolved)
    inputs = derived.day_inputs(project, resolved, asked, data_dir)
    wanted = derived.feature_keys_of(code, inputs)
    _refuse_missing(resolved, inputs)
    done: dict[str, FeatureDay] = {}

    def report(day: str, manifest: FeatureManifest, status: Literal["computed", "unchanged"]) -> None:
        done[day] = FeatureDay(day, status, manifest.content_digest, manifest.rows, manifest.labelled, manifest.columns)
        if progress is not None:
            progress(done[day])

    pending: list[str] = []
    for day in sorted(asked):
        kept = FeatureManifest.read(plan.manifest_path(project, resolved.name, day))
        if (
            kept is None
            or kept.key != wanted[day]
            or not plan.intact(plan.feature_path(project, resolved.name, day), kept)
        ):
            pending.append(day)
        else:
            report(day, kept, "unchanged")
    if pending:
        require_stamped(project, folder, [name for day in pending for name in inputs[day]])
        ahead = {day: inputs[day] for day in pending}
        window = resolved.recipe.window
        of = _Of(folder, code, window.history_days if window is not None else 0)
        run = _went_on(of, ahead, _reader(folder, [*ahead.values()]))
        if run is None:
            run = FeatureRun(load_definition(project, resolved), _reader(folder, [*ahead.values()]))
        for start in range(0, len(pending), WRITTEN_TOGETHER):
            for day, manifest in _write(
                project, resolved, run, pending[start : start + WRITTEN_TOGETHER], wanted, inputs
            ):
                report(day, manifest, "computed")
        _remember(of, ahead, run)
    return FeatureResult(tuple(done[day] for day in asked))


@dataclass(frozen=True)
class _Of:
    """What a run's answers depend on beside the partitions that it is told: `code` is the `features_digest`."""

    folder: Path
    code: str
    history_days: int


@dataclass(frozen=True)
class _Ended:
    """The last run of this process, which may go on with later days: what it was told, up to which day."""

    of: _Of
    told: Mapping[str, str | None]
    until: str
    run: FeatureRun


_ended: list[_Ended] = []  # one at most


def _went_on(of: _Of, days: Mapping[str, Mapping[str, str | None]], read: Read) -> FeatureRun | None:
    """The run that ended last, where it has been told just what a run of `days` alone would be: the same partitions with the same
    content, as far as these days look back."""
    if not _ended or _ended[0].of != of or min(days) <= _ended[0].until:
        return None
    ended = _ended[0]
    earlier = {name: digest for day in days.values() for name, digest in day.items() if _key(name) <= ended.until}
    reach = min(map(_key, earlier), default="")
    if not earlier or earlier != {name: digest for name, digest in ended.told.items() if _key(name) >= reach}:
        return None
    _ended.clear()  # one that fails half way goes on no more
    ended.run.read_on(read)
    return ended.run


def _remember(of: _Of, days: Mapping[str, Mapping[str, str | None]], run: FeatureRun) -> None:
    _ended.clear()
    if run.rows_known <= ROWS_KEPT:
        told = {name: digest for day in days.values() for name, digest in day.items()}
        _ended.append(_Ended(of, told, max(days), run))


def _key(name: str) -> str:
    """The partition's key in `<dataset>/<key>`."""
    return name.partition("/")[2]


def compute_day(definition: FeatureDefinition, read: Read, key: str) -> pa.Table:
    """The feature rows of one day alone: as `materialise` stores them, from whatever `read` gives."""
    return FeatureRun(definition, read).compute(key)


def read_features(
    project: Project, resolved: ResolvedRecipe, day: str, key: str, columns: Sequence[str] | None = None
) -> pa.Table:
    """The stored feature rows of `day` (some `columns` of them), intact and computed under `key`. Raises FeatureError."""
    path = plan.feature_path(project, resolved.name, day)
    manifest = FeatureManifest.read(plan.manifest_path(project, resolved.name, day))
    data = path.read_bytes() if path.is_file() else b""
    if manifest is None or manifest.key != key or sha256_bytes(data) != manifest.file_sha256:
        raise FeatureError(
            Finding("the feature partition is missing, damaged, or was computed from something else", str(path),
                    "features for the recipe, code and data as they are now", "compute the features again")
        )  # fmt: skip
    categories = [name for name, kind in manifest.columns if kind == CATEGORY]
    with pq.ParquetFile(BytesIO(data), read_dictionary=categories) as file:
        return file.read(columns=list(columns) if columns is not None else None)


def require_stamped(project: Project, data_dir: Path, names: Iterable[str]) -> None:
    """Refuse (Unstamped) any `<dataset>/<key>` of `names` whose content did not pass the contract in force."""
    wanted: dict[str, dict[str, None]] = {}
    for name in names:
        dataset, _, key = name.partition("/")
        wanted.setdefault(dataset, {})[key] = None
    for dataset, keys in wanted.items():
        digest = contract_digest(load_dataset(project, dataset), project.datasets()[dataset].parent)
        require_stamps(data_dir, dataset, keys, digest)


def _refuse_missing(resolved: ResolvedRecipe, inputs: dict[str, dict[str, str | None]]) -> None:
    missing = dict.fromkeys(name for day in inputs.values() for name, digest in day.items() if digest is None)
    if missing:
        days = [day for day, looked_at in inputs.items() if None in looked_at.values()]
        shown = ", ".join(list(missing)[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise FeatureError(
            Finding(
                f"{len(missing)} partitions that these features look at are not there: {shown}",
                f"{resolved.name}/{days[0]}" + (f" and {len(days) - 1} more days" if len(days) > 1 else ""),
                "every day of the window, and the history_days before it, as far as the datasets reach",
                "ingest them first",
            )
        )


def _reader(data_dir: Path, inputs: Sequence[dict[str, str | None]]) -> Read:
    """Reads what one of the days looks at, and says None to everything else: what is not in a day's key cannot reach it."""
    allowed = {name for day in inputs for name in day}

    def read(dataset: str, key: str) -> pa.Table | None:
        return read_table(data_dir, dataset, key) if f"{dataset}/{key}" in allowed else None

    return read


def _write(
    project: Project,
    resolved: ResolvedRecipe,
    run: FeatureRun,
    days: Sequence[str],
    wanted: dict[str, str],
    inputs: dict[str, dict[str, str | None]],
) -> list[tuple[str, FeatureManifest]]:
    words = plan.features_digest(resolved)
    written: list[tuple[str, FeatureManifest]] = []
    with AtomicBatch() as batch:
        for day in days:
            table = run.compute(day)
            data = _parquet(table)
            batch.add(plan.feature_path(project, resolved.name, day), data)
            manifest = FeatureManifest(
                recipe=resolved.name,
                day=day,
                key=wanted[day],
                content_digest=content_digest(table, list(run.definition.key)),
                file_sha256=sha256_bytes(data),
                file_size=len(data),
                rows=table.num_rows,
                labelled=table.num_rows - int(np.isnan(table[LABEL].to_numpy()).sum()),
                columns=tuple((field.name, _type(field.type)) for field in table.schema),
                inputs={name: digest for name, digest in inputs[day].items() if digest is not None},
                features_digest=words,
            )
            written.append((day, manifest))
        for day, manifest in written:  # last: a document vouches for a file that is there
            batch.add(plan.manifest_path(project, resolved.name, day), json_bytes(manifest.document()))
    return written


def _parquet(table: pa.Table) -> bytes:
    """The same bytes for the same table: one row group, fixed settings, no statistics that a reader does not need."""
    buffer = BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_statistics=False, row_group_size=max(table.num_rows, 1))
    return buffer.getvalue()


def _type(kind: pa.DataType) -> str:
    return CATEGORY if pa.types.is_dictionary(kind) else type_name(kind)
