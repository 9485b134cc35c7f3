"""The reference: the blocks of a model's own history, counted, each with its place in the calendar. One small file.

A daily check reads this and the day, and no training rows. What is a window, and what is unusual, is not decided here.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from mtac_assets.monitoring.drift.bins import CategoryBins, NumericBins, category_bins, numeric_bins
from mtac_assets.monitoring.drift.rows import Column, DriftError, Rows
from mtac_assets.monitoring.drift.sketch import Layout, Sketch, all_pairs, sketch, stack
from mtac_assets.provenance.digest import digest_json, sha256_bytes
from mtac_assets.provenance.files import write_atomic
from mtac_assets.spec.errors import Finding

SCHEMA_VERSION = 1
HEADER = "mtac drift reference, sha256"
MOST_PAIRS = 1000  # of numeric columns whose correlation is watched: all of 45 columns
FEWEST_PER_SLOT = 4  # blocks of each calendar slot, below which slots are not told apart


@dataclass(frozen=True)
class Block:
    """`key`: the partition. `slot`: its place in the calendar (day of week); None where the data know no calendar."""

    key: str
    rows: Rows
    slot: int | None = None


@dataclass(frozen=True, eq=False)
class Reference:
    """`sketches` has the blocks along its first axis, in order of time. `slots` int [blocks], -1 for none."""

    layout: Layout
    keys: tuple[str, ...]
    slots: np.ndarray
    sketches: Sketch
    about: Mapping[str, Any]
    """What it was built of (model, recipe): kept as it is, and part of the digest."""

    @property
    def digest(self) -> str:
        """Over all counts, bins and names; not over the file's bytes, which depend on a compressor."""
        arrays = {name: [str(array.dtype), list(array.shape), sha256_bytes(np.ascontiguousarray(array).tobytes())] for name, array in _arrays(self).items()}  # fmt: skip
        return digest_json({"document": _document(self), "arrays": arrays})

    @property
    def by_calendar(self) -> bool:
        """Whether the history has enough blocks of each slot to compare like with like."""
        slots, times = np.unique(self.slots, return_counts=True)
        return len(slots) > 1 and slots[0] >= 0 and bool(times.min() >= FEWEST_PER_SLOT)


def build(blocks: Sequence[Block], about: Mapping[str, Any] | None = None) -> Reference:
    """The reference of `blocks`, in order of time; blocks without rows are no history. The order of columns does not matter.

    Raises DriftError where no block has rows, or where blocks differ in their columns.
    """
    held = [block for block in blocks if block.rows.count]
    if not held:
        raise DriftError(
            Finding("no block has rows", "reference", "rows of the model's training window", "materialise the features of its days")
        )  # fmt: skip
    numeric, categorical, raw = _columns(held[0].rows)
    layout = Layout(
        tuple(
            numeric_bins(column, [_of(block.rows.numbers(), column, block.key) for block in held]) for column in numeric
        ),
        tuple(
            category_bins(column, [_rows_by_value(block.rows, column, block.key) for block in held])
            for column in categorical
        ),
        raw,
        all_pairs(len(numeric)),
    )
    sketches = stack([sketch(block.rows, layout) for block in held])
    layout, sketches = _closest_pairs(layout, sketches)
    slots = np.array([-1 if block.slot is None else block.slot for block in held], dtype=np.int64)
    return Reference(layout, tuple(block.key for block in held), slots, sketches, dict(about or {}))


def _closest_pairs(layout: Layout, sketches: Sketch) -> tuple[Layout, Sketch]:
    """Of more than MOST_PAIRS pairs those that depend most on each other: what is nearly independent has little to lose."""
    if len(layout.pairs[0]) <= MOST_PAIRS:
        return layout, sketches
    products, together = sketches.products.sum(axis=0), sketches.together.sum(axis=0)
    closeness = np.abs(products) / np.maximum(together, 1)
    kept = np.sort(np.argsort(-closeness, kind="stable")[:MOST_PAIRS])
    first, second = layout.pairs
    return (
        replace(layout, pairs=(first[kept], second[kept])),
        replace(sketches, products=sketches.products[:, kept], together=sketches.together[:, kept]),
    )


def save(reference: Reference, path: Path) -> str:
    """Write the reference atomically: a line with the SHA-256 of what follows, then NumPy's npz. Returns its digest."""
    digest = reference.digest
    document = json.dumps({**_document(reference), "digest": digest}, sort_keys=True).encode()
    stream = io.BytesIO()
    arrays: dict[str, Any] = {"document": np.frombuffer(document, dtype=np.uint8), **_arrays(reference)}
    np.savez_compressed(stream, **arrays)
    held = stream.getvalue()
    write_atomic(path, f"{HEADER} {sha256_bytes(held)}\n".encode() + held)
    return digest


def open_reference(path: Path) -> Reference:
    """The reference in a file. Raises DriftError where there is none, it is damaged, or its schema is not known here."""
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        raise DriftError(Finding("there is no such file", str(path), "a drift reference", "build it")) from None
    header, _, held = stored.partition(b"\n")  # before anything is parsed: a damaged archive fails in many ways
    if header != f"{HEADER} {sha256_bytes(held)}".encode():
        raise _damaged(path, "its bytes are not those that were written")
    with np.load(io.BytesIO(held), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    document = json.loads(arrays.pop("document").tobytes())
    if document["schema_version"] != SCHEMA_VERSION:
        raise DriftError(
            Finding(f"schema version {document['schema_version']}", str(path), f"version {SCHEMA_VERSION}", "build the reference anew, or update MTaC")
        )  # fmt: skip
    digest = document.pop("digest")
    reference = _read(document, arrays)
    if reference.digest != digest:
        raise _damaged(path, f"the content's digest is {reference.digest}, its own document says {digest}")
    return reference


def _damaged(path: Path, why: str) -> DriftError:
    return DriftError(Finding(f"the reference is damaged: {why}", str(path), "the bytes that were written", "remove the file and build it anew"))  # fmt: skip


def _columns(rows: Rows) -> tuple[list[Column], list[Column], tuple[Column, ...]]:
    return (
        sorted(rows.numbers()),
        sorted(Column("feature", name) for name in rows.categorical),
        tuple(sorted(Column("raw", name) for name in rows.raw)),
    )


def _of(values: Mapping[Column, np.ndarray], column: Column, key: str) -> np.ndarray:
    if column not in values:
        raise _absent(column, key)
    return values[column]


def _rows_by_value(rows: Rows, column: Column, key: str) -> dict[str, int]:
    if column.name not in rows.categorical:
        raise _absent(column, key)
    held = rows.categorical[column.name]
    codes = np.asarray(held.codes)
    counts = np.bincount(codes[codes >= 0], minlength=len(held.values))
    return {value: int(count) for value, count in zip(held.values, counts, strict=True) if count}


def _absent(column: Column, key: str) -> DriftError:
    return DriftError(Finding(f"no column {column}, which earlier blocks have", f"block {key}", "the same columns in every block", "compute all blocks with one recipe"))  # fmt: skip


def _document(reference: Reference) -> dict[str, Any]:
    layout = reference.layout
    return {
        "schema_version": SCHEMA_VERSION,
        "about": dict(reference.about),
        "keys": list(reference.keys),
        "numeric": [{"column": list(one.column), "sigma": one.sigma} for one in layout.numeric],
        "categorical": [{"column": list(one.column), "known": list(one.known)} for one in layout.categorical],
        "raw": [list(column) for column in layout.raw],
    }


def _arrays(reference: Reference) -> dict[str, np.ndarray]:
    arrays = {f"sketch.{part.name}": getattr(reference.sketches, part.name) for part in fields(Sketch)}
    for place, one in enumerate(reference.layout.numeric):
        arrays |= {f"numeric.{place}.edges": one.edges, f"numeric.{place}.ranks": one.ranks}
    for place, one in enumerate(reference.layout.categorical):
        arrays |= {f"categorical.{place}.{name}": getattr(one, name) for name in ("first", "last", "count")}
    first, second = reference.layout.pairs
    return arrays | {"slots": reference.slots, "pairs": np.stack([first, second])}


def _read(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Reference:
    numeric = tuple(
        NumericBins(Column(*one["column"]), arrays[f"numeric.{n}.edges"], arrays[f"numeric.{n}.ranks"], one["sigma"])
        for n, one in enumerate(document["numeric"])
    )
    categorical = tuple(
        CategoryBins(Column(*one["column"]), tuple(one["known"]), *(arrays[f"categorical.{n}.{name}"] for name in ("first", "last", "count")))
        for n, one in enumerate(document["categorical"])
    )  # fmt: skip
    first, second = arrays["pairs"]
    layout = Layout(numeric, categorical, tuple(Column(*column) for column in document["raw"]), (first, second))
    sketches = Sketch(*(arrays[f"sketch.{part.name}"] for part in fields(Sketch)))
    return Reference(layout, tuple(document["keys"]), arrays["slots"], sketches, document["about"])
