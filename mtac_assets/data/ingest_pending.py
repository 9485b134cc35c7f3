"""Which partitions have to be read, and why: what `ingest` asks first. Reads no row and imports no dataframe library.

A partition is current when its file is the one of its manifest, its stamp is of the contract in force, and its source shows the
state in which it was last read. That state lies in the manifest, and in the state's cache where a source was read again since
and had the same content (a manifest does not change when nothing did). `mtac plan` asks the sources that are cheap to ask
by `source_changes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.data.contract.source import contract_digest
from mtac_assets.data.contract.stamp import stamp_finding
from mtac_assets.data.partitions import Manifest, PartitionError, manifest_path, read_manifest, verify
from mtac_assets.data.readers.local import WHOLE, Source
from mtac_assets.data.readers.state import source_state
from mtac_assets.data.seen_sources import SeenSources
from mtac_assets.spec.dataset import DailyPartitions, Dataset
from mtac_assets.spec.errors import Finding

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


def pending(project: Project, dataset: Dataset, keys: Sequence[str]) -> dict[str, str]:
    """Those of `keys` that `ingest` would read, with the reason in a phrase. Raises SourceError, ContractError."""
    digest = contract_digest(dataset, project.datasets()[dataset.name].parent)
    sources = source_state(dataset, keys, project.root)
    seen = SeenSources(project.state.cache, dataset.name)
    found = {}
    for key in keys:
        reason = _reason(project.state.data, dataset.name, key, sources.get(key), digest, seen)
        if reason is not None:
            found[key] = reason
    return found


def unchanged(
    data_dir: Path, dataset: str, key: str, source: Source | None, digest: str, seen: SeenSources
) -> Manifest | None:
    """The manifest of a partition that is current, its file's bytes verified; None where it must be read."""
    if _reason(data_dir, dataset, key, source, digest, seen) is not None:
        return None
    manifest = read_manifest(data_dir, dataset, key)
    try:
        verify(data_dir, manifest)
    except PartitionError:
        return None
    return manifest


def unknown_keys(dataset: Dataset, keys: Sequence[str]) -> dict[str, Finding]:
    """Those of `keys` that are no partition of `dataset`."""
    found = {}
    for key in keys:
        expected = _expected(dataset, key)
        if expected is not None:
            found[key] = Finding(
                f"{key!r} is no partition of {dataset.name}", f"partition {key}", expected, "correct the date"
            )
    return found


def _expected(dataset: Dataset, key: str) -> str | None:
    partitions = dataset.partitions
    if not isinstance(partitions, DailyPartitions):
        return None if key == WHOLE else f"the one key {WHOLE!r}"
    try:
        day = date.fromisoformat(key)
    except ValueError:
        return "a day as YYYY-MM-DD"
    if key != day.isoformat():
        return "a day as YYYY-MM-DD"
    inside = partitions.start <= day and (partitions.end is None or day <= partitions.end)
    return None if inside else f"a day from {partitions.start} to {partitions.end or 'now'}"


def _reason(
    data_dir: Path, dataset: str, key: str, source: Source | None, digest: str, seen: SeenSources
) -> str | None:
    if not manifest_path(data_dir, dataset, key).exists():
        return "not ingested yet"
    try:
        manifest = read_manifest(data_dir, dataset, key)
    except PartitionError:
        return "its manifest cannot be read"
    unstamped = stamp_finding(data_dir, manifest, digest)
    if unstamped is not None:
        return unstamped.error
    if source is None:
        return "its source is gone"
    if not seen.knows(key, manifest.content_digest, dict(manifest.source), source):
        return "its source cannot tell whether it changed" if source.state is None else "its source changed"
    return None
