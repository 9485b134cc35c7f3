"""The files that will land in a replay: every day of a dataset as the file that its source would have delivered that day.

A dataset whose source is a folder lands its own files, byte for byte. One whose source is a single file in a package is cut into a
file a day, its lines unchanged. A query has no files, so such a dataset cannot be replayed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.data.readers.local import WHOLE, SourceError, file_name
from mtac_assets.spec.dataset import DailyPartitions, FilesSource, PackageSource
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.dataset import Dataset
    from mtac_assets.spec.project import Project

INCOMING = "incoming"  # below the checkout; a folder for each dataset


@dataclass(frozen=True)
class Landing:
    """A dataset's files: they wait in `waiting` and land in `incoming/<dataset>` of a checkout, under the same names."""

    dataset: str
    pattern: str
    format: str
    waiting: str

    def source(self) -> dict[str, str]:
        """The dataset's `source` in the checkout."""
        return {"kind": "files", "url": f"{INCOMING}/{self.dataset}", "pattern": self.pattern, "format": self.format}

    def document(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Landing:
        return cls(**document)

    def land(self, root: Path, key: str, moment: datetime) -> bool:
        """Let the file of `key` land in the checkout at `root`; False where the source never delivered one. Landing twice is once."""
        name = file_name(self.pattern, key)
        source, target = Path(self.waiting) / name, root / INCOMING / self.dataset / name
        if not source.is_file():
            return False
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            hidden = target.with_name(f".{target.name}")
            shutil.copyfile(source, hidden)
            os.utime(hidden, (moment.timestamp(), moment.timestamp()))
            hidden.rename(target)
        return True


def keys_until(dataset: Dataset, last: date) -> list[str]:
    """The partitions of a dataset whose day is no later than `last`."""
    partitions = dataset.partitions
    if not isinstance(partitions, DailyPartitions):
        return [WHOLE]
    end = min(last, partitions.end) if partitions.end is not None else last
    return [(partitions.start + timedelta(days=n)).isoformat() for n in range((end - partitions.start).days + 1)]


def gather(project: Project, dataset: Dataset, last: date, folder: Path) -> Landing:
    """Put every file of `dataset` up to `last` into `folder`. Raises SourceError, and MtacError where a source has no files."""
    source, keys = dataset.source, keys_until(dataset, last)
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(source, FilesSource):
        _copy(source, keys, project.root, folder)
        return Landing(dataset.name, source.pattern, source.format, str(folder))
    if isinstance(source, PackageSource):
        whole = keys == [WHOLE]
        pattern = f"{dataset.name}.{source.format}" if whole else f"{dataset.name}-{{date}}.{source.format}"
        landing = Landing(dataset.name, pattern, source.format, str(folder))
        _cut(project, dataset, source, keys, landing)
        return landing
    raise MtacError(
        Finding(
            f"the source of {dataset.name} is a query, and a query delivers no files",
            f"dataset {dataset.name}, source",
            "a folder of files, or a file of a package",
            "export the query's days as files, and replay a recipe that reads those",
        )
    )


def _copy(source: FilesSource, keys: list[str], root: Path, folder: Path) -> None:
    import fsspec

    from mtac_assets.data.readers.state import file_sources
    from mtac_assets.data.readers.uri import resolve

    for key in file_sources(source, keys, root):
        name = file_name(source.pattern, key)
        target = folder / name
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with fsspec.open(f"{resolve(source.url, root).rstrip('/')}/{name}", "rb") as stream:
            _publish(target, stream.read())  # pyright: ignore[reportAttributeAccessIssue]


def _cut(project: Project, dataset: Dataset, source: PackageSource, keys: list[str], landing: Landing) -> None:
    """The package's file as one file a day. Which line is of which day, the reader says that reads it in an ingest too."""
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    from mtac_assets.data.contract.load import load_contract
    from mtac_assets.data.readers.days import NO_DATE, partition_index, row_days
    from mtac_assets.data.readers.package import content
    from mtac_assets.data.readers.state import package_source
    from mtac_assets.data.readers.tables import read_bytes

    folder = Path(landing.waiting)
    if all((folder / file_name(landing.pattern, key)).exists() for key in keys):
        return
    where = package_source(source).uri
    data = content(source, where)
    if not isinstance(dataset.partitions, DailyPartitions):
        _publish(folder / landing.pattern, data)
        return
    columns = load_contract(dataset, project.datasets()[dataset.name].parent).columns
    table = read_bytes(data, source.format, columns, where).table
    days = row_days(table, dataset.partitions.date)
    if (days == NO_DATE).any():
        raise SourceError(
            Finding(
                f"{int((days == NO_DATE).sum())} rows have no valid date", where, "a date in every row", "correct them"
            )
        )
    place = partition_index(days, keys)
    if source.format == "csv":
        header, *lines = [line for line in data.splitlines(keepends=True) if line.strip()]
        assert len(lines) == table.num_rows, "a row of a CSV file is a line: the reader allows no other"
        rows: dict[int, list[bytes]] = {}
        for index, line in zip(place.tolist(), lines, strict=True):
            rows.setdefault(index, [header]).append(line if line.endswith(b"\n") else line + b"\n")
        files = {index: b"".join(parts) for index, parts in rows.items()}
    else:
        raw, files = pq.read_table(pa.BufferReader(data)), {}
        for index in sorted(set(place.tolist())):
            buffer = io.BytesIO()
            pq.write_table(raw.filter(pa.array(place == index)), buffer)
            files[index] = buffer.getvalue()
    for index, written in files.items():
        if index >= 0:
            _publish(folder / file_name(landing.pattern, keys[index]), written)


def _publish(path: Path, data: bytes) -> None:
    """No fsync a file: what waits can be made again, and an interrupted one has another name."""
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(data)
    temporary.rename(path)
