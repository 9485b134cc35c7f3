"""Raw rows handed over in a file: typed and judged by the dataset's contract as ingest does, but all or nothing.

No row is set aside here: whoever asks by hand wants an answer for every row. Columns that are known only afterwards may be left
out; they are what is asked. Bounds of whole days (row counts, null rates, day checks) are not asked: a file may hold three rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mtac_assets.data.contract.columns import Columns, to_pandas
from mtac_assets.data.contract.load import LoadedContract, load_contract
from mtac_assets.data.contract.rows import check_faults, key_faults, null_faults
from mtac_assets.data.contract.source import ContractError
from mtac_assets.data.readers.blocks import ordered_blocks
from mtac_assets.data.readers.days import NO_DATE, day_number, row_days
from mtac_assets.data.readers.rows import Fault
from mtac_assets.data.readers.tables import read_bytes
from mtac_assets.monitoring.errors import MonitoringError
from mtac_assets.spec.dataset import DailyPartitions, Dataset
from mtac_assets.spec.errors import Finding, raise_all
from mtac_assets.spec.resolved import ALL

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

FORMATS = {".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True)
class RawDay:
    """Rows of one day in the order of the dataset's key; `line` int64 [N]: each row's place in the file, from 0."""

    key: str
    table: pa.Table
    line: np.ndarray


@dataclass(frozen=True)
class RawRows:
    """All rows of a file, by day. `absent`: outcome columns that the file does not have; `not_asked`: rules of the contract
    that need one of these."""

    days: tuple[RawDay, ...]
    absent: tuple[str, ...]
    not_asked: tuple[str, ...]

    @property
    def rows(self) -> int:
        return sum(day.table.num_rows for day in self.days)


def form_of(path: Path, option: str) -> str:
    """`csv` or `parquet`, by the file's suffix; MonitoringError for any other."""
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise MonitoringError(
            Finding(f"{path.name} has the suffix {path.suffix or 'nothing'}", option, ".csv or .parquet", "rename it")
        )
    return form


def read_rows(project: Project, dataset: Dataset, path: Path) -> RawRows:
    """The rows of a CSV or Parquet file, in the contract's types.

    Raises MonitoringError or SourceError with every finding: a file that cannot be read or holds no row, columns that are
    missing or of another type, values that break a rule, a null, a key that stands twice, a row without a day.
    """
    form = form_of(path, "--input")
    try:
        data = path.read_bytes()
    except OSError as error:
        finding = Finding(f"cannot be read: {error.strerror}", str(path), f"a {form} file", "correct the path")
        raise MonitoringError(finding) from None
    contract = load_contract(dataset, project.datasets()[dataset.name].parent)
    absent = _absent(data, form, contract)
    columns = Columns(
        {name: kind for name, kind in contract.columns.types.items() if name not in absent},
        contract.columns.leave_out_extra,
    )
    typed = read_bytes(data, form, columns, str(path))
    if typed.table.num_rows == 0:
        raise MonitoringError(
            Finding("the file holds no row", str(path), "at least one row", "hand over rows to score")
        )
    faults, not_asked = _faults(contract, typed.table, absent)
    findings = [_finding(fault, path, np.arange(typed.table.num_rows)) for fault in (*typed.faults, *faults)]
    raise_all(MonitoringError, findings)
    keys, partition = _partitions(dataset, typed.table, path)
    days: list[RawDay] = []
    for block in ordered_blocks(dataset, typed, partition, np.arange(typed.table.num_rows), keys, {}):
        findings += [_finding(fault, path, block.line) for fault in key_faults(contract, block.table, block.partition)]
        for index, key in enumerate(block.keys):
            mine = np.flatnonzero(block.partition == index)
            days.append(RawDay(key, block.table.take(pa.array(mine)), block.line[mine]))
    raise_all(MonitoringError, findings)
    return RawRows(tuple(days), absent, not_asked)


def _absent(data: bytes, form: str, contract: LoadedContract) -> tuple[str, ...]:
    """Outcome columns that the file does not have. What else is wrong with its columns the reader says."""
    present = _header(data, form)
    return tuple(
        name for name in contract.columns.names if name in contract.dataset.outcome_columns and name not in present
    )


def _header(data: bytes, form: str) -> list[str]:
    import csv
    import io

    import pyarrow.parquet as pq

    if form == "parquet":
        try:
            return pq.read_schema(pa.BufferReader(data)).names
        except (pa.ArrowInvalid, OSError):
            return []
    try:
        return next(csv.reader(io.StringIO(data.partition(b"\n")[0].decode("utf-8-sig"))), [])
    except (UnicodeDecodeError, csv.Error):
        return []


def _faults(contract: LoadedContract, table: pa.Table, absent: tuple[str, ...]) -> tuple[list[Fault], tuple[str, ...]]:
    """Faults of rows, and the rules over several columns that could not be asked because a column is absent."""
    frame = to_pandas(table, {name: contract.declared[name] for name in table.column_names})
    faults = list(null_faults(contract, table))
    not_asked: list[str] = []
    there = {name: column for name, column in contract.schema.columns.items() if name not in absent}
    faults += check_faults(replace(contract, schema=_Rules(there, ())), frame)
    for check in contract.schema.checks:
        try:
            faults += check_faults(replace(contract, schema=_Rules({}, (check,))), frame)
        except ContractError as error:
            if not (isinstance(error.__cause__, KeyError) and set(error.__cause__.args) & set(absent)):
                raise
            not_asked.append(str(check.error or check.name))
    return faults, tuple(not_asked)


@dataclass(frozen=True)
class _Rules:
    """The part of a schema that `check_faults` reads."""

    columns: Mapping[str, Any]
    checks: Sequence[Any]


def _partitions(dataset: Dataset, table: pa.Table, path: Path) -> tuple[list[str], np.ndarray]:
    """The days of the file in order, and each row's place among them, int32 [N]."""
    if not isinstance(dataset.partitions, DailyPartitions):
        return [ALL], np.zeros(table.num_rows, dtype=np.int32)
    days = row_days(table, dataset.partitions.date)
    undated = days == NO_DATE
    if undated.any():
        raise MonitoringError(
            Finding(
                f"{int(undated.sum())} rows have no valid date",
                f"{path}, row {int(undated.argmax()) + 1}",
                "a date in every row, or nobody can tell which history belongs to it",
                "correct the rows",
            )
        )
    present, partition = np.unique(days, return_inverse=True)
    keys = [str(np.datetime64(int(day), "D")) for day in present]
    assert [day_number(key) for key in keys] == present.tolist()
    return keys, partition.reshape(-1).astype(np.int32)


def _finding(fault: Fault, path: Path, line: np.ndarray) -> Finding:
    first = int(np.argmin(np.where(fault.rows, line, np.iinfo(np.int64).max)))
    count = int(fault.rows.sum())
    return Finding(
        f"{fault.reason(first)}" + (f" (and {count - 1} rows more)" if count > 1 else ""),
        f"{path}, row {int(line[first]) + 1}",
        fault.check,
        "correct the rows, or leave them out; nothing was scored",
    )
