"""Partitions as they lie on disk: Parquet, manifest, and reading them back verified.

What `mtac plan` asks (`present`, `read_manifest`) imports no dataframe library; only reading rows does.
Does not belong here: how partitions come to be (see `ingest`) or reach another machine (see `versioning`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.document import known_object
from mtac_assets.provenance.files import settled, write_atomic
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = 1
CATEGORY = "category"
_SUFFIX = ".json"
_STAMP_SUFFIX = ".stamp.json"


class PartitionError(MtacError):
    """A partition is missing, damaged or of a version that this code does not know."""


class Manifest(NamedTuple):
    """What one partition holds and where it came from; the content of `<key>.json`. A tuple, for 20,000 are made in a blink."""

    dataset: str
    key: str
    content_digest: str
    file_sha256: str
    file_size: int
    rows: int
    quarantined_rows: int
    columns: tuple[tuple[str, str], ...]  # name and type, "category" for a dictionary of strings
    source: Mapping[str, str | None]
    written_at: str

    def document(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "dataset": self.dataset,
            "key": self.key,
            "content_digest": self.content_digest,
            "file_sha256": self.file_sha256,
            "file_size": self.file_size,
            "rows": self.rows,
            "quarantined_rows": self.quarantined_rows,
            "columns": [{"name": name, "type": kind} for name, kind in self.columns],
            "source": dict(self.source),
            "written_at": self.written_at,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], where: str) -> Manifest:
        """The manifest in `document`, read from `where`; PartitionError for another version or a missing field."""
        if document.get("schema_version") != SCHEMA_VERSION:
            raise PartitionError(_unreadable(where, f"schema_version is {document.get('schema_version')!r}"))
        try:
            values = {name: document[name] for name in cls._fields if name != "columns"}
            columns = tuple((column["name"], column["type"]) for column in document["columns"])
        except (KeyError, TypeError) as error:
            raise PartitionError(_unreadable(where, f"lacks {error}")) from None
        return cls(columns=columns, **values)


def partition_path(data_dir: Path, dataset: str, key: str) -> Path:
    return data_dir / dataset / f"{key}.parquet"


def manifest_path(data_dir: Path, dataset: str, key: str) -> Path:
    return data_dir / dataset / f"{key}{_SUFFIX}"


def stamp_path(data_dir: Path, dataset: str, key: str) -> Path:
    return data_dir / dataset / f"{key}{_STAMP_SUFFIX}"


def quarantine_path(data_dir: Path, dataset: str, key: str) -> Path:
    return data_dir / dataset / f"{key}.quarantine.parquet"


def pointer_path(data_dir: Path, dataset: str, key: str) -> Path:
    return data_dir / dataset / f"{key}.parquet.dvc"


def read_manifest(data_dir: Path, dataset: str, key: str) -> Manifest:
    """The manifest of one partition; PartitionError where there is none or it cannot be read."""
    path = manifest_path(data_dir, dataset, key)
    try:
        document = known_object(path)
    except OSError as error:
        raise PartitionError(_unreadable(str(path), str(error))) from None
    if document is None and path.exists():
        raise PartitionError(_unreadable(str(path), "no JSON object"))
    if document is None:
        raise PartitionError(
            Finding(f"{dataset} has no partition {key}", str(path), "a manifest beside the partition's file",
                    "ingest the day, or pull it from the DVC remote")
        )  # fmt: skip
    return Manifest.from_document(document, str(path))


def present(data_dir: Path, dataset: str, cache: Path | None = None) -> dict[str, Manifest]:
    """All partitions of `dataset` with a manifest and a file, by key in order.

    With a `cache` folder a manifest that has not changed since is not read again. One is only ever replaced by renaming, which
    moves the folder's own modification time: while that stands still, none is even asked.
    Says nothing of whether the files are intact; see `verify` and `read_table`.
    """
    folder = data_dir / dataset
    try:
        names = set(os.listdir(folder))
    except FileNotFoundError:
        return {}
    keys = sorted(
        name[: -len(_SUFFIX)]
        for name in names
        if name.endswith(_SUFFIX) and not name.endswith(_STAMP_SUFFIX) and name[: -len(_SUFFIX)] + ".parquet" in names
    )
    seen = _Seen(cache / f"manifests-{dataset}.json" if cache is not None else None)
    descriptor = os.open(folder, os.O_RDONLY)  # a path from here is found faster than one from the root
    try:
        seen.look_at(os.fstat(descriptor))
        found = {key: seen.manifest(data_dir, dataset, key, descriptor) for key in keys}
    finally:
        os.close(descriptor)
    seen.save()
    return found


class _Seen:
    """Manifests by the state of their files: one `stat` instead of one reading. Only a shortcut."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._columns: list[Any] = []
        self._entries: dict[str, list[Any]] = {}
        self._changed = False
        try:
            document = json.loads(path.read_bytes()) if path is not None else None
        except (FileNotFoundError, ValueError):
            document = None
        if isinstance(document, dict) and document.get("schema_version") == SCHEMA_VERSION:
            self._columns = [tuple(map(tuple, columns)) for columns in document["columns"]]
            self._entries = document["entries"]
            self._folder: list[int] | None = document.get("folder")
        else:
            self._folder = None
        self._stands = False

    def look_at(self, status: os.stat_result) -> None:
        """Whether the folder stands as it did when all of its manifests were last looked at; to be told before they are."""
        folder = [status.st_ino, status.st_mtime_ns] if settled(status.st_mtime_ns) else None
        self._stands = folder is not None and folder == self._folder
        self._changed = folder != self._folder
        self._folder = folder

    def manifest(self, data_dir: Path, dataset: str, key: str, folder: int) -> Manifest:
        if self._stands and (entry := self._entries.get(key)) is not None:
            return self._made(dataset, key, entry)
        status = os.stat(key + _SUFFIX, dir_fd=folder)
        state = [status.st_size, status.st_ino, status.st_mtime_ns]
        entry = self._entries.get(key)
        if entry is not None and entry[0] == state:
            return self._made(dataset, key, entry)
        manifest = read_manifest(data_dir, dataset, key)
        if settled(status.st_mtime_ns):
            if manifest.columns not in self._columns:
                self._columns.append(manifest.columns)
            kept = list(manifest[2:])
            kept[_COLUMNS_PLACE] = self._columns.index(manifest.columns)
            self._entries[key] = [state, kept]
            self._changed = True
        return manifest

    def _made(self, dataset: str, key: str, entry: list[Any]) -> Manifest:
        digest, sha, size, rows, aside, columns, source, written = entry[1]
        return Manifest(dataset, key, digest, sha, size, rows, aside, self._columns[columns], source, written)

    def save(self) -> None:
        if self._path is not None and self._changed:
            document = {
                "schema_version": SCHEMA_VERSION,
                "folder": self._folder,
                "columns": self._columns,
                "entries": self._entries,
            }
            write_atomic(self._path, json.dumps(document, separators=(",", ":")).encode())


_COLUMNS_PLACE = Manifest._fields.index("columns") - 2


def verify(data_dir: Path, manifest: Manifest) -> None:
    """PartitionError unless the partition's file has the size and SHA-256 that `manifest` says."""
    path = partition_path(data_dir, manifest.dataset, manifest.key)
    _check_size(path, manifest)
    digest = sha256_file(path)
    if digest != manifest.file_sha256:
        raise PartitionError(_damaged(path, f"SHA-256 is {digest[:12]}…", f"{manifest.file_sha256[:12]}…"))


def read_table(
    data_dir: Path, dataset: str, key: str, columns: Sequence[str] | None = None, *, verify_bytes: bool = False
) -> pa.Table:
    """Rows of one partition, in the order of the dataset's key; categories come as dictionaries.

    The file's size is compared with the manifest, and with `verify_bytes` its SHA-256 too. PartitionError where it is not
    the file that was written.
    """
    return _read(data_dir, read_manifest(data_dir, dataset, key), columns, verify_bytes)


def read_tables(
    data_dir: Path,
    dataset: str,
    keys: Iterable[str],
    columns: Sequence[str] | None = None,
    *,
    verify_bytes: bool = False,
) -> dict[str, pa.Table]:
    """As `read_table`, for several partitions by key."""
    return {key: read_table(data_dir, dataset, key, columns, verify_bytes=verify_bytes) for key in keys}


def _read(data_dir: Path, manifest: Manifest, columns: Sequence[str] | None, verify_bytes: bool) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = partition_path(data_dir, manifest.dataset, manifest.key)
    if verify_bytes:
        verify(data_dir, manifest)
    else:
        _check_size(path, manifest)
    categories = [name for name, kind in manifest.columns if kind == CATEGORY and (columns is None or name in columns)]
    try:
        with pq.ParquetFile(path, read_dictionary=categories, memory_map=False) as file:
            table = file.read(columns=list(columns) if columns is not None else None)
    except (pa.ArrowInvalid, OSError) as error:
        raise PartitionError(_damaged(path, str(error).splitlines()[0], "a Parquet file")) from None
    if columns is not None and table.column_names != list(columns):
        missing = [name for name in columns if name not in table.column_names]
        if missing:
            raise PartitionError(
                Finding(f"no column {', '.join(map(repr, missing))}", str(path),
                        f"columns of {manifest.dataset}: {', '.join(name for name, _ in manifest.columns)}", "correct the name")
            )  # fmt: skip
        table = table.select(list(columns))
    return table


def _check_size(path: Path, manifest: Manifest) -> None:
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise PartitionError(_damaged(path, "the file is missing", "the file of the manifest beside it")) from None
    if size != manifest.file_size:
        raise PartitionError(_damaged(path, f"{size} bytes", f"{manifest.file_size} bytes, as the manifest says"))


def _damaged(path: Path, error: str, expected: str) -> Finding:
    return Finding(
        f"the partition is damaged: {error}", str(path), expected, "ingest the day again, or pull it from the remote"
    )


def _unreadable(where: str, error: str) -> Finding:
    return Finding(
        f"the manifest cannot be read: {error}", where, f"schema_version {SCHEMA_VERSION}", "ingest the day again"
    )
