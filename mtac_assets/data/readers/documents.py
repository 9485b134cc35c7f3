"""Texts that a function in the dataset's folder reads or makes: `function(**settings)` yields (document, text) pairs.

`text` is a string, or bytes that must be UTF-8. Columns are `document`, `text` and `bytes` (the size of the text in UTF-8).
A text that is no UTF-8 or has more than `max_bytes` is null and a fault of its row, so it is set aside with its name and size.
The texts of one dataset are held in memory while they are ingested.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mtac_assets.data.contract.columns import Columns
from mtac_assets.data.readers.blocks import whole_source
from mtac_assets.data.readers.local import SourceError
from mtac_assets.data.readers.made import documents_source, folder_of
from mtac_assets.data.readers.rows import Block, Fault, TypedTable, refuse_all
from mtac_assets.data.readers.tables import schema_of
from mtac_assets.data.readers.typed import conform
from mtac_assets.spec.dataset import Dataset, DocumentsSource
from mtac_assets.spec.errors import Finding

MOST_BYTES = 2**31 - 1  # what one column of strings holds in Arrow


def blocks(
    dataset: Dataset, spec: DocumentsSource, keys: Sequence[str], columns: Columns, root: Path
) -> Iterator[Block]:
    """All texts in one call of the function."""
    from mtac_assets.data.features_view import load_function

    folder = folder_of(dataset.name, root)
    found = documents_source(folder, spec.model_dump(mode="json"))
    sources = dict.fromkeys(keys, found)
    where = f"{folder.name}/{spec.function}"
    try:
        pairs = _called(load_function(folder, spec.function, "source.function"), spec.settings, where)
        yield from whole_source(dataset, _typed(pairs, spec.max_bytes, columns, where), keys, sources, where)
    except SourceError as error:
        yield refuse_all(keys, error.findings, schema_of(columns), sources)


def _called(function: Any, settings: dict[str, Any], where: str) -> Iterator[Any]:
    try:
        yield from function(**settings)
    except Exception as error:  # a team's code may raise anything; its dataset fails, and no other
        finding = Finding(
            f"the function fails: {type(error).__name__}: {error}", where, "(document, text) pairs", "correct it"
        )
        raise SourceError(finding) from error


def _typed(pairs: Iterable[Any], max_bytes: int, columns: Columns, where: str) -> TypedTable:
    names: list[str] = []
    texts: list[str | None] = []
    sizes: list[int] = []
    total = 0
    wrong: dict[str, dict[int, str]] = {"text: UTF-8": {}, f"text: at most {max_bytes:,} bytes": {}}
    not_utf8, too_long = wrong.values()
    for row, pair in enumerate(pairs):
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str)):
            finding = Finding(
                f"yields {pair!r:.60}", f"{where}, row {row + 1}", "a pair of a name and a text", "correct it"
            )
            raise SourceError(finding)
        name, given = pair
        if not isinstance(given, str | bytes):
            error = f"the text of {name!r} is {type(given).__name__}"
            raise SourceError(Finding(error, f"{where}, row {row + 1}", "a string or bytes", "correct it"))
        text: str | None = None
        size = len(given)
        try:
            if isinstance(given, str):
                size = len(given.encode())
            if size > max_bytes:
                too_long[row] = f"text: {size:,} bytes, {max_bytes:,} allowed"
            else:
                text = given if isinstance(given, str) else given.decode()
        except UnicodeError as error:
            place = getattr(error, "start", 0)
            not_utf8[row] = f"text: no UTF-8 at byte {place:,} of {size:,}"
        total += size if text is not None else 0
        if total > MOST_BYTES:
            finding = Finding(f"holds more than {MOST_BYTES:,} bytes of text", f"{where}, row {row + 1}",
                              "texts that one dataset can hold in memory", "cut it into several datasets")  # fmt: skip
            raise SourceError(finding)
        names.append(name)
        texts.append(text)
        sizes.append(size)
    table = pa.table({"document": pa.array(names, pa.string()), "text": pa.array(texts, pa.string()), "bytes": sizes})
    typed = conform(table, columns, where)
    faults = [
        Fault(check, _mask(rows, len(names)), lambda i, rows=rows: rows[i]) for check, rows in wrong.items() if rows
    ]
    return TypedTable(typed.table, (*typed.faults, *faults))


def _mask(rows: Iterable[int], count: int) -> np.ndarray:
    mask = np.zeros(count, dtype=bool)
    mask[list(rows)] = True
    return mask
