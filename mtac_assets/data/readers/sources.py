"""The kinds of source under one roof: the rows of a dataset's partitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.data.readers import documents, files, package, sql
from mtac_assets.data.readers.rows import Block
from mtac_assets.spec.dataset import Dataset, DocumentsSource, FilesSource, PackageSource

if TYPE_CHECKING:
    from mtac_assets.data.contract.columns import Columns


def read_blocks(dataset: Dataset, keys: Sequence[str], columns: Columns, root: Path) -> Iterator[Block]:
    """Typed rows of `keys` in blocks of about a hundred days; what is at fault is refused day by day where it can be."""
    spec = dataset.source
    if isinstance(spec, FilesSource):
        return files.blocks(dataset, spec, keys, columns, root)
    if isinstance(spec, PackageSource):
        return package.blocks(dataset, spec, keys, columns)
    if isinstance(spec, DocumentsSource):
        return documents.blocks(dataset, spec, keys, columns, root)
    return sql.blocks(dataset, spec, keys, columns)
