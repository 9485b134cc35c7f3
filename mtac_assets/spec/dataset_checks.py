"""Rules between fields of a dataset."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from mtac_assets.spec.checks import Check, Problem, repeated, rule
from mtac_assets.spec.dataset import (
    Arrival,
    Contract,
    DailyPartitions,
    DocumentsSource,
    FilesSource,
    PackageSource,
    SqlSource,
)
from mtac_assets.spec.yaml import FieldPath

CHECKS: list[Check] = []


@rule(CHECKS, "partitions")
def _day_range(partitions: Any) -> Iterator[Problem]:
    if isinstance(partitions, DailyPartitions) and partitions.end and partitions.end < partitions.start:
        error = f"end {partitions.end} is before start {partitions.start}"
        yield Problem(("partitions", "end"), error, "a day on or after start", "swap or correct them")


@rule(CHECKS, "partitions", "event_time")
def _event_time(partitions: Any, event_time: str | None) -> Iterator[Problem]:
    if isinstance(partitions, DailyPartitions) and event_time is None:
        error = "daily partitions without `event_time`: nothing says what was known when"
        yield Problem(("event_time",), error, "the column of a row's moment", "add `event_time: COLUMN`")


@rule(CHECKS, "key", "event_time", "outcome_columns")
def _columns(key: tuple[str, ...], event_time: str | None, outcome_columns: tuple[str, ...]) -> Iterator[Problem]:
    yield from repeated(("key",), key)
    yield from repeated(("outcome_columns",), outcome_columns)
    for position, name in enumerate(outcome_columns):
        if name in key or name == event_time:
            role = "key" if name in key else "event_time"
            error = f"`{name}` is known only afterwards, but part of `{role}`"
            yield Problem(
                ("outcome_columns", position), error, "columns that are neither key nor event_time", "remove it"
            )


@rule(CHECKS, "key", "contract")
def _contract(key: tuple[str, ...], contract: Contract) -> Iterator[Problem]:
    rows = contract.rows
    if rows.min > rows.max:
        error = f"min {rows.min} is above max {rows.max}: no partition can pass"
        yield Problem(("contract", "rows", "min"), error, "min at most max", "swap or correct them")
    for name, rate in contract.null_rates.items():
        if name in key and rate > 0:
            error = f"`{name}` is part of the key and may not be null"
            yield Problem(("contract", "null_rates", name), error, "no null rate for key columns", "remove the line")


@rule(CHECKS, "source", "partitions")
def _source(source: Any, partitions: Any) -> Iterator[Problem]:
    daily = isinstance(partitions, DailyPartitions)
    if isinstance(source, PackageSource):
        yield from _inside(("source", "path"), source.path, "the distribution")
    elif isinstance(source, FilesSource):
        yield from _inside(("source", "pattern"), source.pattern, "the folder")
        yield from _url(source.url)
        yield from _pattern(source.pattern, daily)
    elif isinstance(source, SqlSource):
        yield from _query(source.query, daily)
    elif isinstance(source, DocumentsSource) and daily:
        error = "texts of a function have no days"
        yield Problem(("partitions", "kind"), error, "none", "write `partitions: {kind: none}`")


def _inside(path: FieldPath, text: str, container: str) -> Iterator[Problem]:
    if PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts or "\\" in text:
        yield Problem(
            path, f"`{text}` leaves {container}", f"a relative path inside {container}", "remove / or .. or \\"
        )


def _url(url: str) -> Iterator[Problem]:
    path = ("source", "url")
    try:
        parts = urlsplit(url)
        secret = parts.password is not None
    except ValueError as error:
        yield Problem(path, f"`{url}` is no URL: {error}", "a folder or a URL", "correct it")
        return
    if secret:
        remedy = "remove it; credentials come from environment variables and are never recorded"
        yield Problem(path, "the URL holds a password", "a URL without credentials", remedy)
    if "::" not in url and not parts.scheme:
        folder = PurePosixPath(url)
        if folder.is_absolute() or ".." in folder.parts:
            expected = "a folder in the project, or a URL with its scheme"
            yield Problem(
                path, f"`{url}` leaves the project", expected, "for a folder elsewhere write file:///its/path"
            )


_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_DATE_FORMAT = re.compile(r"date(:[^{}]+)?")


def _pattern(pattern: str, daily: bool) -> Iterator[Problem]:
    path = ("source", "pattern")
    found = _PLACEHOLDER.findall(pattern)
    expected = "a file name with {date} or {date:%Y%m%d}" if daily else "a file name without {date}"
    if not daily and found:
        yield Problem(path, f"`{pattern}` names a day, but the partitions are not daily", expected, "remove {...}")
    elif daily and not found:
        yield Problem(path, f"`{pattern}` is the same file for every day", expected, "put {date} where the day stands")
    elif re.sub(_PLACEHOLDER, "", pattern).count("{") or re.sub(_PLACEHOLDER, "", pattern).count("}"):
        yield Problem(path, f"`{pattern}` has a brace without its pair", expected, "pair or remove it")
    else:
        for name in found:
            directives = set(re.findall(r"%(.)", name))
            whole = ":" not in name or {"Y", "m", "d"} <= directives or {"Y", "j"} <= directives
            if not _DATE_FORMAT.fullmatch(name) or not directives <= {"Y", "m", "d", "j"}:
                yield Problem(path, f"`{{{name}}}` is not known", expected, "use {date} with %Y, %m, %d, %j only")
            elif not whole and len(found) == 1:
                yield Problem(path, f"`{{{name}}}` does not tell every day apart", expected, "name year, month and day")


def _query(query: str, daily: bool) -> Iterator[Problem]:
    path = ("source", "query")
    names = set(re.findall(r"(?<![:\w]):([A-Za-z_]\w*)", query))
    wanted = {"start", "end"} if daily else set[str]()
    expected = "the parameters :start and :end (excluded)" if daily else "no parameters: the partitions are not daily"
    for name in sorted(wanted - names):
        yield Problem(path, f"the query does not use :{name}", expected, f"bound the query by :{name}")
    for name in sorted(names - wanted):
        yield Problem(path, f"the query uses :{name}, which has no value", expected, f"remove :{name}")


@rule(CHECKS, "arrival", "source")
def _arrival(arrival: Arrival | None, source: Any) -> Iterator[Problem]:
    if arrival is not None and not isinstance(source, FilesSource):
        error = f"`arrival` watches a folder of files, but the source is of kind {source.kind}"
        yield Problem(
            ("arrival",), error, "a source of kind files", "remove `arrival`; a schedule can ask such a source"
        )
