"""A dataset's contract.py as code: loaded, and seen to be something that days can be judged by.

Refused is what pandera offers and a contract may not use, because it changes values or looks at other rows.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtac_assets.data.contract.columns import Columns, arrow_type
from mtac_assets.data.contract.source import ContractError, contract_digest, contract_path, reference
from mtac_assets.data.source_module import load_source
from mtac_assets.spec.dataset import Dataset
from mtac_assets.spec.errors import Finding


@dataclass(frozen=True)
class LoadedContract:
    """A contract ready to judge. `day_checks`: functions of the rows grouped by day that return one bool a day."""

    dataset: Dataset
    schema: Any
    columns: Columns
    declared: Mapping[str, str]
    day_checks: Mapping[str, Callable[..., Any]]
    digest: str


def load_contract(dataset: Dataset, folder: Path) -> LoadedContract:
    """Load contract.py of the dataset in `folder` and see that it can be judged by; ContractError names all that is wrong. The same
    bytes are loaded once in a process."""
    path, digest = contract_path(dataset, folder), contract_digest(dataset, folder)
    source = path.read_bytes()
    known = _known.get(path)
    if known is not None and known[0] == source and known[1].digest == digest and known[1].dataset == dataset:
        return known[1]
    loaded = _load(dataset, path, digest)
    if path.read_bytes() == source:
        _known[path] = source, loaded
    return loaded


_known: dict[Path, tuple[bytes, LoadedContract]] = {}  # by file: its bytes, and what came of them


def _load(dataset: Dataset, path: Path, digest: str) -> LoadedContract:
    module = _import(path)
    schema = _schema(module, dataset, path)
    declared = {name: str(column.dtype) for name, column in schema.columns.items()}
    found = [*_unusable(schema, path), *_unknown_names(dataset, list(declared), path)]
    types = {name: arrow_type(dtype) for name, dtype in declared.items()}
    found += [
        Finding(
            f"column {name!r} has dtype {declared[name]}",
            str(path),
            "intN, IntN, floatN, category, str, bool, datetime64[us, UTC] or datetime64[us]",
            "declare one of these",
        )
        for name, kind in types.items()
        if kind is None
    ]
    if found:
        raise ContractError(*found)
    columns = Columns({name: kind for name, kind in types.items() if kind is not None}, schema.strict == "filter")
    return LoadedContract(dataset, schema, columns, declared, dict(getattr(module, "day_checks", {})), digest)


def _import(path: Path) -> Any:
    name = f"mtac_contract_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    try:
        return load_source(path, name)
    except Exception as error:
        raise ContractError(
            Finding(
                f"importing it fails: {type(error).__name__}: {error}", str(path), "a file that imports", "correct it"
            )
        ) from error
    finally:
        sys.modules.pop(name, None)


def _schema(module: Any, dataset: Dataset, path: Path) -> Any:
    import pandera.pandas as pandera

    _, _, attribute = reference(dataset).partition(":")
    schema = getattr(module, attribute, None)
    if callable(schema) and not isinstance(schema, pandera.DataFrameSchema):
        schema = schema()
    if not isinstance(schema, pandera.DataFrameSchema):
        raise ContractError(
            Finding(f"{attribute!r} is {type(schema).__name__}", str(path), "a pandera.pandas.DataFrameSchema, or a function "
                    "that returns one", "export it under that name")
        )  # fmt: skip
    return schema


def _unusable(schema: Any, path: Path) -> list[Finding]:
    """What pandera offers and a contract may not use, because it changes values or depends on the rows beside."""
    found = []

    def refuse(what: str, where: str, remedy: str) -> None:
        found.append(
            Finding(f"{where} uses {what}", str(path), "checks that look at one row and change nothing", remedy)
        )

    if schema.strict is False:
        refuse("strict=False", "the schema", 'strict=True refuses other columns, strict="filter" leaves them out')
    if schema.coerce:
        refuse("coerce", "the schema", "leave it out: types are compared, never changed")
    if schema.unique:
        refuse("unique", "the schema", "name the columns as `key` in dataset.yaml")
    if schema.index is not None:
        refuse("an index", "the schema", "rows have no index here; declare a column")
    if getattr(schema, "parsers", None) or getattr(schema, "drop_invalid_rows", False):
        refuse("parsers or drop_invalid_rows", "the schema", "leave it out: the source is judged as it is")
    for name, column in schema.columns.items():
        where = f"column {name!r}"
        if column.dtype is None:
            refuse("no dtype", where, "declare one")
        if column.unique:
            refuse("unique", where, "name the columns as `key` in dataset.yaml")
        if column.coerce or getattr(column, "parsers", None) or column.default is not None:
            refuse("coerce, parsers or default", where, "leave it out: values are judged, never changed")
        if column.regex or not column.required:
            refuse(
                "regex or required=False", where, "name each column; a column that may be missing is a null rate of 1.0"
            )
    for where, checks in [
        ("the schema", schema.checks),
        *((f"column {n!r}", c.checks) for n, c in schema.columns.items()),
    ]:
        for check in checks:
            if check.groupby is not None:
                refuse("a check with groupby", where, "move it to `day_checks` in contract.py")
    return found


def _unknown_names(dataset: Dataset, declared: list[str], path: Path) -> list[Finding]:
    date = getattr(dataset.partitions, "date", None)
    dates = [date] if isinstance(date, str) else [] if date is None else [date.year, date.month, date.day]
    fields = {
        "key": dataset.key,
        "partitions.date": dates,
        "event_time": [dataset.event_time] if dataset.event_time else [],
        "outcome_columns": dataset.outcome_columns,
        "contract.null_rates": dataset.contract.null_rates,
    }
    return [
        Finding(f"{field} names {name!r}, which the contract does not declare", f"dataset {dataset.name}",
                f"one of {', '.join(declared)}", f"correct {field} in dataset.yaml, or declare the column in {path.name}")
        for field, names in fields.items()
        for name in names
        if name not in declared
    ]  # fmt: skip
