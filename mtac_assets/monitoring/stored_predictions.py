"""Predictions as they lie on disk: `predictions/<recipe>/<Model ID>/<day>.parquet` and the document that vouches for it.

Reading is here, and it imports nothing heavy until rows are read. How scores come to be is `predictions`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.monitoring.errors import MonitoringError
from mtac_assets.provenance import partitions
from mtac_assets.provenance.digest import sha256_bytes, sha256_file
from mtac_assets.provenance.document import known_object
from mtac_assets.spec.errors import Finding, raise_all

if TYPE_CHECKING:
    import pyarrow as pa

    from mtac_assets.spec.project import Project

SCHEMA_VERSION = 1
SCORE, LABEL = "score", "label"


@dataclass(frozen=True)
class PredictionManifest:
    """The document beside one day's scores.

    `key`: what the scores depend on, as one digest (weights, feature key). `input_digest`: content of the day's own rows;
    `inputs`: content of every partition that its features looked at. `labelled`: rows whose label was known at that time.
    """

    recipe: str
    model_id: str
    weights_digest: str
    day: str
    key: str
    feature_key: str
    input_digest: str
    inputs: Mapping[str, str]
    key_columns: tuple[str, ...]
    rows: int
    labelled: int
    content_digest: str
    file_sha256: str
    file_size: int

    def document(self) -> dict[str, Any]:
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            "schema_version": SCHEMA_VERSION,
            **fields,
            "inputs": dict(self.inputs),
            "key_columns": list(self.key_columns),
        }

    @classmethod
    def read(cls, path: Path) -> PredictionManifest | None:
        """The document at `path`; None where there is none, or none of this version: then the day is scored again."""
        document = known_object(path)
        if document is None or document.get("schema_version") != SCHEMA_VERSION:
            return None
        try:
            fields = {name: document[name] for name in cls.__dataclass_fields__}
        except KeyError:
            return None
        return cls(**{**fields, "key_columns": tuple(fields["key_columns"])})


def folder_of(project: Project, recipe: str, model_id: str) -> Path:
    return project.state.predictions / recipe / model_id


def scores_path(folder: Path, day: str) -> Path:
    return folder / f"{day}.parquet"


def manifest_path(folder: Path, day: str) -> Path:
    return folder / f"{day}.json"


def intact(folder: Path, day: str, manifest: PredictionManifest) -> bool:
    """Are the scores' bytes those that the document vouches for?"""
    path = scores_path(folder, day)
    return path.is_file() and path.stat().st_size == manifest.file_size and sha256_file(path) == manifest.file_sha256


def scored_days(project: Project, recipe: str, model_id: str) -> tuple[str, ...]:
    """The days that have scores of this model, in order; nothing is said of whether they are still up to date."""
    folder = folder_of(project, recipe, model_id)
    return tuple(sorted(path.stem for path in folder.glob("*.json") if path.with_suffix(".parquet").is_file()))


def read_scores(
    project: Project, recipe: str, model_id: str, days: Sequence[str], *, folder: Path | None = None
) -> dict[str, tuple[PredictionManifest, pa.Table]]:
    """Day to its manifest and rows: key columns, `score` float64, `label` float32 (NaN: unknown), in the order of the key.
    `folder`: where they lie, if not among the model's predictions.

    MonitoringError names every day that was not scored, is damaged, or was scored before its data was corrected (or labelled).
    """
    import io

    import pyarrow.parquet as pq

    folder = folder or folder_of(project, recipe, model_id)
    manifests = {day: PredictionManifest.read(manifest_path(folder, day)) for day in days}
    raise_all(MonitoringError, _unscored(project, model_id, manifests))
    found: dict[str, tuple[PredictionManifest, pa.Table]] = {}
    for day, manifest in manifests.items():
        assert manifest is not None
        path = scores_path(folder, day)
        data = path.read_bytes() if path.is_file() else b""
        if sha256_bytes(data) != manifest.file_sha256:
            raise MonitoringError(_finding("damaged", str(path), "the bytes that its document vouches for"))
        found[day] = manifest, pq.read_table(io.BytesIO(data))
    return found


def _unscored(project: Project, model_id: str, manifests: Mapping[str, PredictionManifest | None]) -> list[Finding]:
    wanted: dict[str, dict[str, None]] = {}
    for manifest in manifests.values():
        for name in manifest.inputs if manifest is not None else ():
            dataset, _, key = name.partition("/")
            wanted.setdefault(dataset, {})[key] = None
    now = partitions.content_digests(project.state.data, wanted, project.state.cache)
    findings: list[Finding] = []
    for day, manifest in manifests.items():
        if manifest is None:
            findings.append(_finding("not scored", f"{model_id}/{day}", "a score for every row of the day"))
        elif moved := [name for name, digest in manifest.inputs.items() if now.get(name) != digest]:
            what = f"scored before {moved[0]} changed"
            findings.append(_finding(what, f"{model_id}/{day}", "scores of the data as it is now"))
    return findings


def _finding(what: str, where: str, expected: str) -> Finding:
    return Finding(f"the predictions are {what}" if what == "damaged" else what, where, expected, "score the day again")
