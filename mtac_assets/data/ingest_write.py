"""Writing judged partitions: Parquet whose bytes depend on the content alone, quarantine, stamp, and the manifest last."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mtac_assets.data.content import slice_digests, type_name
from mtac_assets.data.contract.judge import Judged
from mtac_assets.data.contract.load import LoadedContract
from mtac_assets.data.contract.stamp import stamp_bytes, stamp_finding
from mtac_assets.data.ingest import DayResult
from mtac_assets.data.partitions import (
    CATEGORY,
    Manifest,
    PartitionError,
    manifest_path,
    partition_path,
    quarantine_path,
    read_manifest,
    stamp_path,
    verify,
)
from mtac_assets.provenance.files import AtomicBatch, fsync_file, json_bytes
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding

_SYNCS = 16


def publish(data_dir: Path, contract: LoadedContract, judged: Judged) -> Iterator[DayResult]:
    """Write the partitions of `judged` that passed and differ from what is there; all appear together, or none does."""
    dataset = contract.dataset.name
    results: list[DayResult] = []
    stale: list[Path] = []
    written: list[Path] = []
    digests = _digests(judged)
    plain = _as_stored(judged.block.table)
    try:
        with AtomicBatch() as batch:

            def write(final: Path, data: bytes) -> None:
                written.append(batch.path(final))
                written[-1].write_bytes(data)

            for index, key in enumerate(judged.block.keys):
                checks = tuple(judged.checks[key])
                aside = int(
                    judged.bounds[index + 1] - judged.bounds[index] - judged.accepted[_rows(judged, index)].sum()
                )
                if judged.findings[key]:
                    findings = tuple(judged.findings[key])
                    results.append(DayResult(key, "failed", None, findings, aside, checks))
                    continue
                there = _there(data_dir, dataset, key)
                if there is not None and (there.content_digest, there.quarantined_rows) != (digests[index], aside):
                    there = None
                if there is not None and stamp_finding(data_dir, there, contract.digest) is None:
                    results.append(DayResult(key, "unchanged", there, (), aside, checks))
                    continue
                if there is not None:
                    manifest = there
                else:
                    manifest = _write(write, data_dir, contract, judged, index, digests[index], plain, aside)
                    if aside == 0:
                        stale.append(quarantine_path(data_dir, dataset, key))
                write(stamp_path(data_dir, dataset, key), stamp_bytes(manifest, contract.digest, checks))
                if there is None:
                    write(manifest_path(data_dir, dataset, key), json_bytes(manifest.document()))
                results.append(DayResult(key, "written", manifest, (), aside, checks))
            sync_together(written)
    except OSError as error:
        finding = Finding(
            f"cannot be written: {os.strerror(error.errno or 0)}",
            str(data_dir / dataset),
            "a folder with room that may be written to",
            "make room or correct its permissions, and ingest again; what was there is untouched",
        )
        results = [
            DayResult(day.key, "failed", None, (finding,)) if day.status == "written" else day for day in results
        ] + [DayResult(key, "failed", None, (finding,)) for key in judged.block.keys[len(results) :]]
    else:
        for path in stale:
            path.unlink(missing_ok=True)
    yield from results


def _rows(judged: Judged, index: int) -> slice:
    return slice(int(judged.bounds[index]), int(judged.bounds[index + 1]))


def _digests(judged: Judged) -> list[str]:
    """The content digest of the accepted rows of each partition."""
    if judged.accepted.all():
        return slice_digests(judged.block.table, judged.bounds)
    table = judged.block.table.filter(pa.array(judged.accepted))
    kept = [0]
    for index in range(len(judged.block.keys)):
        kept.append(kept[-1] + int(judged.accepted[_rows(judged, index)].sum()))
    return slice_digests(table, np.array(kept))


def _there(data_dir: Path, dataset: str, key: str) -> Manifest | None:
    """The manifest of an intact partition, or None where there is none, so that a damaged one is written anew."""
    try:
        manifest = read_manifest(data_dir, dataset, key)
        verify(data_dir, manifest)
    except PartitionError:
        return None
    return manifest


def _as_stored(table: pa.Table) -> pa.Table:
    """Categories as plain strings: a dictionary's own order would show in the file's bytes."""
    columns = [
        column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column for column in table.itercolumns()
    ]
    return pa.table(columns, names=table.column_names).combine_chunks()


def _write(
    write: Callable[[Path, bytes], None],
    data_dir: Path,
    contract: LoadedContract,
    judged: Judged,
    index: int,
    digest: str,
    plain: pa.Table,
    aside: int,
) -> Manifest:
    dataset, key = contract.dataset.name, judged.block.keys[index]
    rows = _rows(judged, index)
    table = plain.slice(rows.start, rows.stop - rows.start)
    if aside:
        table = table.filter(pa.array(judged.accepted[rows]))
        write(quarantine_path(data_dir, dataset, key), parquet_bytes(_as_stored(judged.quarantine(index))))
    data = parquet_bytes(table)
    write(partition_path(data_dir, dataset, key), data)
    types = {
        name: CATEGORY if pa.types.is_dictionary(kind) else type_name(kind)
        for name, kind in contract.columns.types.items()
    }
    return Manifest(
        dataset=dataset,
        key=key,
        content_digest=digest,
        file_sha256=hashlib.sha256(data).hexdigest(),
        file_size=len(data),
        rows=table.num_rows,
        quarantined_rows=aside,
        columns=tuple(types.items()),
        source=judged.block.sources[key].document(),
        written_at=clock.timestamp(),
    )


def sync_together(paths: Iterable[Path]) -> None:
    """fsync many new files side by side: the file system then commits them together (10× faster than one after the other)."""
    with ThreadPoolExecutor(_SYNCS) as pool:
        for _ in pool.map(fsync_file, paths):
            pass


def parquet_bytes(table: pa.Table) -> bytes:
    """`table` as a Parquet file whose bytes depend on its rows, its types and the version of Arrow alone."""
    sink = pa.BufferOutputStream()
    strings = [field.name for field in table.schema if pa.types.is_string(field.type)]
    pq.write_table(
        table,
        sink,
        version="2.6",
        compression="snappy",
        use_dictionary=strings,  # pyright: ignore[reportArgumentType]
        write_statistics=True,
        store_schema=False,
        row_group_size=max(table.num_rows, 1),
    )
    return sink.getvalue().to_pybytes()
