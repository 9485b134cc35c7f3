"""The verdict over many days at once: which rows are set aside, which days pass, and on what evidence.

Row checks run on all rows together and are then attributed to their days, so the cost does not depend on how many days there
are. A day's verdict never depends on the days beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mtac_assets.data.contract.columns import to_pandas
from mtac_assets.data.contract.load import LoadedContract
from mtac_assets.data.contract.rows import check_faults, check_names, key_faults, null_faults, null_rows
from mtac_assets.data.contract.source import ContractError
from mtac_assets.data.contract.stamp import CheckResult
from mtac_assets.data.readers.rows import Block, Fault
from mtac_assets.spec.errors import Finding

_REASONS_SHOWN = 3


@dataclass(frozen=True)
class Judged:
    """The verdict over a block whose rows are ordered by partition and key.

    `bounds` int64 [K+1]: rows of partition i; `accepted` bool [N]; `checks` and `findings` by partition key: a day with a
    finding is refused.
    """

    block: Block
    bounds: np.ndarray
    accepted: np.ndarray
    faults: tuple[Fault, ...]
    checks: Mapping[str, tuple[CheckResult, ...]]
    findings: Mapping[str, tuple[Finding, ...]]

    def quarantine(self, index: int) -> pa.Table:
        """The rows of partition `index` that are set aside, with a column `reason` that names all that is wrong."""
        start, stop = int(self.bounds[index]), int(self.bounds[index + 1])
        rows = start + np.flatnonzero(~self.accepted[start:stop])
        reasons = ["; ".join(self.reasons(int(row))) for row in rows]
        return self.block.table.take(pa.array(rows)).append_column("reason", pa.array(reasons, pa.string()))

    def reasons(self, row: int) -> list[str]:
        return [fault.reason(row) for fault in self.faults if fault.rows[row]]


def judge(contract: LoadedContract, block: Block) -> Judged:
    """Judge the rows of `block`, which are ordered by partition and key. ContractError where the contract itself is at fault."""
    table, partition = block.table, block.partition
    bounds = np.searchsorted(partition, np.arange(len(block.keys) + 1))
    frame = to_pandas(table, contract.declared)
    faults = (
        *block.faults,
        *null_faults(contract, table),
        *check_faults(contract, frame),
        *key_faults(contract, table, partition),
    )
    accepted = np.ones(table.num_rows, dtype=bool)
    for fault in faults:
        accepted &= ~fault.rows
    rows = np.diff(bounds)
    kept = _per_day(accepted, block) if faults else rows
    # Of a day that has too many failing rows, all rows are counted: what is left of it would only mislead.
    refused = rows - kept > contract.dataset.contract.max_quarantined * rows
    counted = accepted | np.repeat(refused, rows)
    totals = np.where(refused, rows, kept)
    checks: dict[str, list[CheckResult]] = {key: [] for key in block.keys}
    findings: dict[str, list[Finding]] = {key: [] for key in block.keys}
    judged = Judged(block, bounds, accepted, faults, checks, findings)  # pyright: ignore[reportArgumentType]
    for found in (
        _row_checks(contract, judged, rows),
        _share_set_aside(contract, judged, rows, kept),
        _row_counts(contract, judged, totals),
        _null_rates(contract, judged, counted, totals),
        _day_checks(contract, judged, frame, counted),
    ):
        for key, check, finding in found:
            checks[key].append(check)
            if finding is not None:
                findings[key].append(finding)
    return judged


Found = Iterator[tuple[str, CheckResult, Finding | None]]


def _row_checks(contract: LoadedContract, judged: Judged, rows: np.ndarray) -> Found:
    """One entry a check and day: how many rows fail. Whether that refuses the day is the share's matter."""
    failing: dict[str, np.ndarray] = {}
    for fault in judged.faults:
        counts = _per_day(fault.rows, judged.block)
        failing[fault.check] = failing[fault.check] + counts if fault.check in failing else counts
    clean = CheckResult("columns", True, {"declared": len(contract.columns.types), "as_declared": True})
    names = [*dict.fromkeys([*check_names(contract), "key: unique", *failing])]
    passed = {name: CheckResult(name, True, {"failing_rows": 0}) for name in names}
    allowed = contract.dataset.contract.max_quarantined
    for index, key in enumerate(judged.block.keys):
        yield key, clean, None
        for name in names:
            count = int(failing[name][index]) if name in failing else 0
            if count == 0:
                yield key, passed[name], None
            else:
                within = count <= allowed * rows[index]
                yield key, CheckResult(name, bool(within), {"failing_rows": count, "rows": int(rows[index])}), None


def _share_set_aside(contract: LoadedContract, judged: Judged, rows: np.ndarray, kept: np.ndarray) -> Found:
    allowed = contract.dataset.contract.max_quarantined
    for index, key in enumerate(judged.block.keys):
        aside, total = int(rows[index] - kept[index]), int(rows[index])
        passed = aside <= allowed * total
        evidence = {"set_aside": aside, "rows": total, "max_share": allowed}
        finding = None if passed else _too_many(judged, index, aside, total, allowed)
        yield key, CheckResult("quarantine", passed, evidence), finding


def _too_many(judged: Judged, index: int, aside: int, total: int, allowed: float) -> Finding:
    start, stop = int(judged.bounds[index]), int(judged.bounds[index + 1])
    counts = sorted(
        (
            (int(fault.rows[start:stop].sum()), start + int(fault.rows[start:stop].argmax()), fault)
            for fault in judged.faults
        ),
        key=lambda entry: -entry[0],
    )
    shown = [
        f"{count} × {fault.check}, first in row {int(judged.block.line[row]) + 1}: {fault.reason(row)}"
        for count, row, fault in counts[:_REASONS_SHOWN]
        if count
    ]
    more = sum(1 for count, _, _ in counts[_REASONS_SHOWN:] if count)
    reasons = "; ".join(shown) + (f"; and {more} more checks" if more else "")
    return Finding(
        f"{aside} of {total} rows break the contract: {reasons}",
        f"{_where(judged, index)} ({judged.block.sources[judged.block.keys[index]].uri})",
        f"at most {allowed:.2%} of the rows set aside",
        "correct the source, or the contract where it is wrong, and ingest the day again",
    )


def _row_counts(contract: LoadedContract, judged: Judged, totals: np.ndarray) -> Found:
    low, high = contract.dataset.contract.rows.min, contract.dataset.contract.rows.max
    for index, key in enumerate(judged.block.keys):
        count = int(totals[index])
        passed = low <= count <= high
        finding = None
        if not passed:
            finding = Finding(
                f"{count} rows" if count else "no rows",
                _where(judged, index),
                f"{low} to {high} rows a day",
                "see whether the source is complete; correct contract.rows in dataset.yaml where the bounds are wrong",
            )
        yield key, CheckResult("rows", passed, {"rows": count, "min": low, "max": high}), finding


def _null_rates(contract: LoadedContract, judged: Judged, counted: np.ndarray, totals: np.ndarray) -> Found:
    for name, allowed in contract.dataset.contract.null_rates.items():
        nulls, check = null_rows(judged.block.table[name]), f"null rate: {name}"
        counts = np.bincount(judged.block.partition[nulls[counted[nulls]]], minlength=len(totals))
        rates = (counts / np.maximum(totals, 1)).tolist()
        none = CheckResult(check, True, {"rate": 0.0, "max": allowed})
        for key, rate in zip(judged.block.keys, rates, strict=True):
            if rate == 0:
                yield key, none, None
                continue
            passed = rate <= allowed
            finding = None
            if not passed:
                finding = Finding(
                    f"{name} is null in {rate:.1%} of the rows",
                    f"partition {key}",
                    f"at most {allowed:.1%}",
                    f"correct the source, or contract.null_rates.{name} in dataset.yaml where the bound is wrong",
                )
            yield key, CheckResult(check, passed, {"rate": round(rate, 6), "max": allowed}), finding


def _day_checks(contract: LoadedContract, judged: Judged, frame: pd.DataFrame, counted: np.ndarray) -> Found:
    """The contract's own functions of whole days: each gets the rows grouped by partition and gives one bool a day."""
    if not contract.day_checks or not counted.any():
        return
    partition = judged.block.partition
    if not counted.all():
        frame, partition = frame.loc[counted], partition[counted]
    grouped = frame.groupby(partition, sort=True, observed=True)
    for name, function in contract.day_checks.items():
        answer = _ask(function, grouped, name, contract)
        verdicts = {holds: CheckResult(name, holds, {"holds": holds}) for holds in (True, False)}
        for index, passed in zip(answer.index.tolist(), answer.tolist(), strict=True):
            key = judged.block.keys[int(index)]
            finding = None
            if not passed:
                finding = Finding(
                    f"the day fails: {name}",
                    f"partition {key}",
                    "true, as day_checks in contract.py asks",
                    "correct the source, or the contract where it is wrong",
                )
            yield key, verdicts[bool(passed)], finding


def _ask(function: Callable[..., Any], grouped: Any, name: str, contract: LoadedContract) -> pd.Series:
    where = f"contract of {contract.dataset.name}, day check {name!r}"
    try:
        answer = function(grouped)
    except Exception as error:
        raise ContractError(
            Finding(f"raises {type(error).__name__}: {error}", where, "one bool a group", "correct it in contract.py")
        ) from error
    if not isinstance(answer, pd.Series) or len(answer) != grouped.ngroups or answer.isna().any():
        raise ContractError(
            Finding(
                f"gives {type(answer).__name__}",
                where,
                "a pandas Series with one bool a group",
                "correct it in contract.py",
            )
        )
    return answer


def _per_day(rows: np.ndarray, block: Block) -> np.ndarray:
    """int64 [K]: how many of the marked rows each day has."""
    return np.bincount(block.partition[np.flatnonzero(rows)], minlength=len(block.keys))


def _where(judged: Judged, index: int) -> str:
    return f"partition {judged.block.keys[index]}"
