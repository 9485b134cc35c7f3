"""Checks of single rows: forbidden nulls, the pandera checks, and the key. Each failing check is a fault of its rows.

The checks of the schema are run one by one, so that each failing row has every reason. `nullable` is decided by the null
rates of dataset.yaml, types by `readers.typed`. A check must answer row by row: one that gives a single verdict would judge a
day by what happened to be ingested beside it, and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mtac_assets.data.content import equals_previous
from mtac_assets.data.contract.columns import present_values
from mtac_assets.data.contract.load import LoadedContract
from mtac_assets.data.contract.source import ContractError
from mtac_assets.data.readers.rows import Fault
from mtac_assets.spec.errors import Finding

_SHOWN = 80  # characters of a value in a message; a text may have millions


def null_faults(contract: LoadedContract, table: pa.Table) -> Iterator[Fault]:
    """Rows with a null in a column that dataset.yaml gives no null rate. NaN counts as null here and in the rates."""
    for name in table.column_names:
        if name not in contract.dataset.contract.null_rates and len(nulls := null_rows(table[name])):
            rows = np.zeros(table.num_rows, dtype=bool)
            rows[nulls] = True
            yield Fault(f"{name}: not null", rows, lambda i, name=name: f"{name} is null")


def null_rows(column: pa.ChunkedArray) -> np.ndarray:
    """uint64 [M]: the rows that hold null or NaN, in order."""
    if not len(column) or not (column.null_count or pa.types.is_floating(column.type)):
        return np.empty(0, dtype=np.uint64)
    rows = pc.indices_nonzero(column.is_null(nan_is_null=True))  # pyright: ignore[reportAttributeAccessIssue]
    return rows.to_numpy()


def check_faults(contract: LoadedContract, frame: pd.DataFrame) -> Iterator[Fault]:
    """Rows of `frame` that fail a check of the schema.

    ContractError for a check that raises or does not answer row by row.
    """
    for name, column in contract.schema.columns.items():
        series: pd.Series = frame[name]  # pyright: ignore[reportAssignmentType]
        there = present_values(series)
        for check in column.checks:
            rows = _failing(check, there if check.ignore_na else series, f"column {name!r}", contract, len(frame))
            if rows is not None:
                rule = _rule(check)
                yield Fault(
                    f"{name}: {rule}", rows, lambda i, s=series, n=name, r=rule: f"{n} = {_shown(s.iloc[i])} fails {r}"
                )
    for check in contract.schema.checks:
        rows = _failing(check, frame, "the schema", contract, len(frame))
        if rows is not None:
            rule = _rule(check)
            yield Fault(rule, rows, lambda i, r=rule: f"the row fails {r}")


def check_names(contract: LoadedContract) -> list[str]:
    """Every check of the schema by the name that its fault would have."""
    names = [f"{name}: {_rule(check)}" for name, column in contract.schema.columns.items() for check in column.checks]
    return [*names, *(_rule(check) for check in contract.schema.checks)]


def key_faults(contract: LoadedContract, table: pa.Table, partition: np.ndarray) -> Iterator[Fault]:
    """Rows that share their key with another of the same partition. `table` is ordered by partition and key.

    Of rows that are equal in every column the first is kept; of rows that differ nobody can tell which is right: all fail.
    """
    key = list(contract.dataset.key)
    same_day = np.zeros(len(partition), dtype=bool)
    same_day[1:] = partition[1:] == partition[:-1]
    same_key = equals_previous(table, key) & same_day
    if not same_key.any():
        return
    copies = same_key & equals_previous(table, table.column_names)
    group = np.cumsum(~same_key) - 1
    conflicting = np.zeros(group[-1] + 1, dtype=bool)
    conflicting[group[same_key & ~copies]] = True
    named = ", ".join(key)
    if copies.any():
        yield Fault("key: unique", copies, lambda i: f"the row is a copy of another ({named})")
    if conflicting.any():
        yield Fault("key: unique", conflicting[group] & ~copies, lambda i: f"another row has the same {named}")


def _failing(
    check: Any, subject: pd.Series | pd.DataFrame, where: str, contract: LoadedContract, rows: int
) -> np.ndarray | None:
    """bool [N] of rows that fail, or None where none does."""
    try:
        result = check(subject)
    except Exception as error:
        raise ContractError(
            Finding(f"check {_rule(check)} raises {type(error).__name__}: {error}", f"contract of {contract.dataset.name}, {where}",
                    "a check that answers for every row", "correct it in contract.py")
        ) from error  # fmt: skip
    answer = result.check_output
    if isinstance(answer, pd.DataFrame):
        answer = answer.all(axis="columns")
    if not isinstance(answer, pd.Series) or not answer.index.equals(result.checked_object.index):
        raise ContractError(
            Finding(f"check {_rule(check)} gives one verdict for all rows", f"contract of {contract.dataset.name}, {where}",
                    "a bool for every row", "move it to `day_checks` in contract.py, which are asked day by day")
        )  # fmt: skip
    # A check that ignores nulls answers only for the rows that have a value; what it cannot tell (NA) is no failure.
    answers = np.asarray(answer.fillna(True) if answer.hasnans else answer, dtype=bool)
    if answers.all():
        return None
    failing = np.zeros(rows, dtype=bool)
    failing[answer.index.to_numpy()[~answers]] = True
    return failing


def _rule(check: Any) -> str:
    return str(check.error or check.name)


def _shown(value: Any) -> str:
    if not isinstance(value, str):
        return str(value)
    return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}... ({len(value):,} characters)"
