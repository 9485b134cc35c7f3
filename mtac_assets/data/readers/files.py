"""A folder of CSV or Parquet files on any file system that fsspec knows, the day in each file's name.

Credentials come from the file system's own environment variables; addresses are recorded without any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mtac_assets.data.contract.columns import Columns
from mtac_assets.data.readers.blocks import DAYS_PER_BLOCK, one_day, ordered_blocks
from mtac_assets.data.readers.days import WHOLE
from mtac_assets.data.readers.rows import Block, Source, SourceError, TypedTable, join_faults, refuse_all
from mtac_assets.data.readers.tables import read_bytes, schema_of
from mtac_assets.data.readers.uri import local_uri, public_uri, resolve, scrub
from mtac_assets.spec.dataset import Dataset, FilesSource
from mtac_assets.spec.errors import Finding

_PLACEHOLDER = re.compile(r"\{date(?::([^{}]+))?\}")


def file_name(pattern: str, key: str) -> str:
    """The file of partition `key`: {date} becomes YYYY-MM-DD, {date:FORMAT} what strftime makes of FORMAT."""
    if key == WHOLE:
        return pattern
    day = date.fromisoformat(key)
    return _PLACEHOLDER.sub(lambda found: day.strftime(found[1] or "%Y-%m-%d"), pattern)


def sources(spec: FilesSource, keys: Sequence[str], root: Path) -> dict[str, Source]:
    """The files of those `keys` that have one, by one listing of the folder; the state is its tag, or size and time."""
    if _is_local(spec.url):
        return _local_sources(spec, keys, root)
    listed = _listing(spec, root)
    found = {}
    for key in keys:
        entry = listed.get(file_name(spec.pattern, key))
        if entry is not None:
            found[key] = Source(f"{public_uri(spec.url).rstrip('/')}/{file_name(spec.pattern, key)}", _state(entry))
    return found


def blocks(dataset: Dataset, spec: FilesSource, keys: Sequence[str], columns: Columns, root: Path) -> Iterator[Block]:
    """Rows of `keys`, about a hundred files at a time; a file at fault refuses its own day alone."""
    there = sources(spec, keys, root)
    for start in range(0, len(keys), DAYS_PER_BLOCK):
        yield from _some(dataset, spec, keys[start : start + DAYS_PER_BLOCK], columns, root, there)


def _some(
    dataset: Dataset, spec: FilesSource, keys: Sequence[str], columns: Columns, root: Path, there: Mapping[str, Source]
) -> Iterator[Block]:
    parts: list[TypedTable] = []
    good: list[str] = []
    for key in keys:
        where = there[key].uri if key in there else f"{public_uri(spec.url).rstrip('/')}/{file_name(spec.pattern, key)}"
        try:
            if key not in there:
                raise SourceError(
                    Finding("the file does not exist", where, f"the file of {key}", "deliver it, or leave the day out")
                )
            typed = read_bytes(_content(spec, key, root, where), spec.format, columns, where)
            one_day(dataset, typed, key, where)
        except SourceError as error:
            yield refuse_all([key], error.findings, schema_of(columns), there)
            continue
        parts.append(typed)
        good.append(key)
    if parts:
        counts = [part.table.num_rows for part in parts]
        table = pa.concat_tables([part.table for part in parts]).unify_dictionaries()
        partition = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
        line = np.concatenate([np.arange(count) for count in counts])
        yield from ordered_blocks(dataset, TypedTable(table, join_faults(parts)), partition, line, good, there)


def _is_local(url: str) -> bool:
    return "://" not in url and "::" not in url


def _local_sources(spec: FilesSource, keys: Sequence[str], root: Path) -> dict[str, Source]:
    folder = Path(resolve(spec.url, root))
    found = {}
    for key in keys:
        path = folder / file_name(spec.pattern, key)
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        found[key] = Source(local_uri(path, root), f"size:{status.st_size} mtime_ns:{status.st_mtime_ns}")
    return found


def _content(spec: FilesSource, key: str, root: Path, where: str) -> bytes:
    import fsspec

    url = f"{resolve(spec.url, root).rstrip('/')}/{file_name(spec.pattern, key)}"
    try:
        with fsspec.open(url, "rb", compression="infer") as stream:
            return stream.read()  # pyright: ignore[reportAttributeAccessIssue]
    except (OSError, EOFError, ValueError) as error:
        raise SourceError(
            Finding(
                f"cannot be read: {scrub(str(error), url)}",
                where,
                "a readable file",
                "see its permissions, or deliver it again",
            )
        ) from None


def _listing(spec: FilesSource, root: Path) -> dict[str, Mapping[str, Any]]:
    import fsspec

    url = resolve(spec.url, root)
    subfolder, _, _ = spec.pattern.rpartition("/")
    try:
        system, path = fsspec.core.url_to_fs(url)
        base = path.rstrip("/")
        entries = system.ls(f"{base}/{subfolder}" if subfolder and "{" not in subfolder else base, detail=True)
        if "{" in subfolder:
            entries = [entry for _, entry in system.find(base, detail=True).items()]  # pyright: ignore
    except FileNotFoundError:
        raise SourceError(
            Finding(
                "the folder does not exist",
                public_uri(spec.url),
                "a folder of files",
                "correct source.url in dataset.yaml",
            )
        ) from None
    except (OSError, ImportError, ValueError) as error:
        raise SourceError(
            Finding(f"cannot be listed: {scrub(str(error), url)}", public_uri(spec.url), "a folder that fsspec can open",
                    "see the address and the credentials in the environment; some file systems need a package of their own")
        ) from None  # fmt: skip
    return {entry["name"].removeprefix(base).lstrip("/"): entry for entry in entries if entry.get("type") == "file"}


def _state(entry: Mapping[str, Any]) -> str | None:
    for name in ("ETag", "etag", "md5Hash", "content_md5", "checksum"):
        if entry.get(name):
            return f"{name.lower()}:{str(entry[name]).strip(chr(34))} size:{entry.get('size')}"
    for name in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        if entry.get(name) is not None:
            return f"size:{entry.get('size')} {name.lower()}:{entry[name]}"
    return None
