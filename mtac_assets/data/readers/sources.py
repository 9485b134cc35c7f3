"""The kinds of source under one roof: the state of a dataset's partitions at their source, and their rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.data.readers import files, package, sql
from mtac_assets.data.readers.rows import Block, Source
from mtac_assets.spec.dataset import Dataset, FilesSource, PackageSource

if TYPE_CHECKING:
    from mtac_assets.data.contract.columns import Columns


def source_state(dataset: Dataset, keys: Sequence[str], root: Path) -> dict[str, Source]:
    """Where each of `keys` comes from and its state, for those that the source has; cheap, no row is read.

    `root` is the project's folder, from which relative paths count. SourceError where the source as a whole is not there.
    """
    spec = dataset.source
    if isinstance(spec, FilesSource):
        return files.sources(spec, keys, root)
    found = package.source(spec) if isinstance(spec, PackageSource) else sql.source(spec)
    return dict.fromkeys(keys, found)


def read_blocks(dataset: Dataset, keys: Sequence[str], columns: Columns, root: Path) -> Iterator[Block]:
    """Typed rows of `keys` in blocks of about a hundred days; what is at fault is refused day by day where it can be."""
    spec = dataset.source
    if isinstance(spec, FilesSource):
        return files.blocks(dataset, spec, keys, columns, root)
    if isinstance(spec, PackageSource):
        return package.blocks(dataset, spec, keys, columns)
    return sql.blocks(dataset, spec, keys, columns)
