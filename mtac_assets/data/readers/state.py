"""The state of a dataset's source: what tells cheaply whether it changed. Reads no row and imports no dataframe library.

What a source is called here is what manifests record: without credentials, and relative to the project inside it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtac_assets.data.readers.local import Source, SourceError, file_name, file_source, file_states, is_local
from mtac_assets.data.readers.made import documents_source, folder_of
from mtac_assets.data.readers.uri import public_uri, resolve, scrub
from mtac_assets.provenance.digest import sha256_bytes, sha256_file
from mtac_assets.spec.dataset import Dataset, DocumentsSource, FilesSource, PackageSource, SqlSource
from mtac_assets.spec.errors import Finding


def source_state(dataset: Dataset, keys: Sequence[str], root: Path) -> dict[str, Source]:
    """Where each of `keys` comes from and its state, for those that the source has; cheap, no row is read.

    `root` is the project's folder, from which relative paths count. SourceError where the source as a whole is not there.
    """
    spec = dataset.source
    if isinstance(spec, FilesSource):
        return file_sources(spec, keys, root)
    if isinstance(spec, DocumentsSource):
        found = documents_source(folder_of(dataset.name, root), spec.model_dump(mode="json"))
    else:
        found = package_source(spec) if isinstance(spec, PackageSource) else query_source(spec)
    return dict.fromkeys(keys, found)


def package_source(spec: PackageSource) -> Source:
    """The file and its digest: a package may be installed again without its content changing. SourceError if missing."""
    distribution, path = locate(spec)
    uri = f"package:{spec.distribution}=={distribution.version}/{spec.path}"
    return Source(uri, f"sha256:{sha256_file(path)}")


def locate(spec: PackageSource) -> tuple[importlib.metadata.Distribution, Path]:
    where = f"package {spec.distribution}"
    try:
        distribution = importlib.metadata.distribution(spec.distribution)
    except importlib.metadata.PackageNotFoundError:
        raise SourceError(
            Finding(
                "the distribution is not installed",
                where,
                "an installed distribution",
                f"pip install {spec.distribution}",
            )
        ) from None
    path = Path(str(distribution.locate_file(spec.path)))
    if not path.is_file():
        raise SourceError(
            Finding(
                f"has no file {spec.path}",
                where,
                "a file of the distribution",
                "correct source.path, or install it again",
            )
        )
    return distribution, path


def query_source(spec: SqlSource) -> Source:
    """The variable and the query's digest, never the address itself."""
    return Source(f"sql:${spec.url_env}/{sha256_bytes(spec.query.encode())[:12]}", None)


def file_sources(spec: FilesSource, keys: Sequence[str], root: Path) -> dict[str, Source]:
    """The files of those `keys` that have one: a `stat` each, or elsewhere one listing; the state is a tag, or size and time."""
    if is_local(spec.url):
        states = file_states(spec.url, spec.pattern, keys, root)
        return {
            key: file_source(spec.url, spec.pattern, key, state, root)
            for place, key in enumerate(keys)
            if (state := states[place]) is not None
        }
    listed = listing(spec, root)
    found = {}
    for key in keys:
        entry = listed.get(file_name(spec.pattern, key))
        if entry is not None:
            found[key] = Source(
                f"{public_uri(spec.url).rstrip('/')}/{file_name(spec.pattern, key)}", entry_state(entry)
            )
    return found


def listing(spec: FilesSource, root: Path) -> dict[str, Mapping[str, Any]]:
    """Every file below the folder by its path there, as the file system describes it. SourceError where it cannot be listed."""
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


def entry_state(entry: Mapping[str, Any]) -> str | None:
    """What changes when the file does: its tag, or size and time; None where the file system tells neither."""
    for name in ("ETag", "etag", "md5Hash", "content_md5", "checksum"):
        if entry.get(name):
            return f"{name.lower()}:{str(entry[name]).strip(chr(34))} size:{entry.get('size')}"
    for name in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        if entry.get(name) is not None:
            return f"size:{entry.get('size')} {name.lower()}:{entry[name]}"
    return None
