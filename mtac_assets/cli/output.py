"""How the command line speaks: one JSON document or a readable page on standard output, everything else on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtac_assets.spec.errors import Finding

if TYPE_CHECKING:
    from rich.console import Console

_json_wanted = False


def _want_json(value: bool) -> bool:
    global _json_wanted
    _json_wanted = _json_wanted or value
    return value


Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output.", callback=_want_json, is_eager=True)
]


def reset(json_wanted: bool) -> None:
    """Start a command: whether it will answer in JSON, as far as the arguments tell before they are parsed."""
    global _json_wanted
    _json_wanted = json_wanted


def json_wanted() -> bool:
    return _json_wanted


LONG = 200
"""Rows of an array from which on each stands on a line of its own: Python's encoder indents ten thousand models in 1.2 s."""


def emit(document: Mapping[str, Any]) -> None:
    """The command's one JSON document. NaN would not be JSON and is refused here as everywhere."""
    if not any(isinstance(value, list) and len(value) >= LONG for value in document.values()):
        sys.stdout.write(_json(document, indent=2) + "\n")
        return
    fields = [f"  {_json(name)}: {_field(value)}" for name, value in document.items()]
    sys.stdout.write("{\n" + ",\n".join(fields) + "\n}\n")


def _field(value: Any) -> str:
    if not isinstance(value, list) or len(value) < LONG:
        return _json(value, indent=2).replace("\n", "\n  ")
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False).encode
    return "[\n    " + ",\n    ".join(map(encode, value)) + "\n  ]"


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)


def emit_streamed(document: Mapping[str, Any]) -> None:
    """The same for a document with `Streamed` arrays, written as it is made."""
    for part in json.JSONEncoder(indent=2, ensure_ascii=False, allow_nan=False).iterencode(document):
        sys.stdout.write(part)
    sys.stdout.write("\n")


class Streamed(list[Any]):
    """An array of a JSON document whose values are made while they are written, and not kept. To be read once."""

    def __init__(self, values: Iterable[Any]) -> None:
        super().__init__()
        self._values = iter(values)
        self._first = list(islice(self._values, 1))

    def __bool__(self) -> bool:
        return bool(self._first)

    def __iter__(self) -> Iterator[Any]:
        yield from self._first
        yield from self._values


def console() -> Console:
    """Where a page for people goes: standard output."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=False)


def progress_console() -> Console:
    """Where progress and warnings go: standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def note(text: str) -> None:
    """A line about progress, on standard error."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def report_findings(findings: Sequence[Finding], *, failed_check: bool) -> None:
    """Errors for the reader of the terminal, or as the JSON document's `errors`."""
    if _json_wanted:
        emit({"schema_version": 1, "errors": [finding.document() for finding in findings]})
        return
    from rich.markup import escape

    out = progress_console()
    word = "check failed" if failed_check else "error"
    for finding in findings:
        out.print(f"[bold red]{word}[/]  {escape(finding.error)}", soft_wrap=True)
        out.print(f"  [dim]where[/]     {escape(finding.where)}", soft_wrap=True)
        out.print(f"  [dim]expected[/]  {escape(finding.expected)}", soft_wrap=True)
        out.print(f"  [dim]remedy[/]    {escape(finding.remedy)}", soft_wrap=True)
    if len(findings) > 1:
        out.print(f"[bold red]{len(findings)} findings[/]")


def metric_text(metric: Mapping[str, Any] | None) -> str:
    """`0.718 [0.702, 0.733]`; a metric that could not be computed is a dash."""
    if metric is None or metric.get("value") is None:
        return "–"
    if metric.get("low") is None or metric.get("high") is None:
        return f"{metric['value']:.4f}"
    return f"{metric['value']:.4f} [{metric['low']:.4f}, {metric['high']:.4f}]"


def print_metrics(
    metrics: Mapping[str, Mapping[str, Any] | None], baselines: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> None:
    """A model's metrics with their intervals, beside the baselines' values, in 80 columns."""
    short = {"hist_gradient_boosting": "boosting", "logistic_regression": "logistic"}
    columns = ["", "model", *(short.get(name, name.replace("_", " ")) for name in baselines)]
    rows = [
        [name.replace("_", " "), metric_text(metric)]
        + [value_text(baseline.get(name)) for baseline in baselines.values()]
        for name, metric in metrics.items()
    ]
    print_table("", columns, rows, right=columns[1:])


def value_text(metric: Mapping[str, Any] | None) -> str:
    """The value alone; a dash where there is none."""
    return "–" if metric is None or metric.get("value") is None else f"{metric['value']:.4f}"


def print_table(title: str, columns: Iterable[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> None:
    """A table for people, on standard output."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    numeric = set(right)
    names = list(columns)
    last = names[-1]
    for column in names:
        # The last column is the one that may be long; the others keep to one line.
        table.add_column(
            column, justify="right" if column in numeric else "left", overflow="fold", no_wrap=column != last
        )
    for row in rows:
        table.add_row(*row)
    out = console()
    if not out.is_terminal:  # a file or another program: no line is cut for a screen that is not there
        out.width = max(out.width, out.measure(table, options=out.options.update(max_width=10_000)).maximum)
    out.print(table)


def shown_path(path: Path) -> str:
    """A path as the user would type it: relative to the current folder where that is shorter."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)
