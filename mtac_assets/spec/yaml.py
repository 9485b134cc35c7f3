"""Strict YAML 1.2: text in, plain data and the place of every value out. Knows nothing of recipes.

Accepted is the part of YAML that says one thing to every reader: maps with text keys, lists, and scalars of the core
schema (https://yaml.org/spec/1.2.2/#103-core-schema). Anchors, aliases, tags, directives, several documents, duplicate
and merge keys, non-finite numbers, numbers with leading zeros, and anything beyond the limits below are refused with
file, line and column. Refusals happen in the scanner, before a structure is built: an alias bomb is never expanded.

The limits are what keeps a poisoned file cheap: the scanner needs about 1 µs a character and 80 µs a value, so 64 KiB
is what can be refused in about 100 ms. The recipe for flights has 3 KiB and 80 values.
"""

# ruamel.yaml's readers carry no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scanner import Scanner

from mtac_assets.spec.errors import Finding, SpecError

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_VALUES = 2_000
MAX_INTEGER = 2**63 - 1  # what every JSON reader holds exactly enough and every integer column can store

FieldPath = tuple[str | int, ...]

_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INT = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NON_FINITE = re.compile(r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]")


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None) and where in which file each value stands."""

    data: Any
    places: Mapping[FieldPath, tuple[int, int]]  # line and column, both from 1; of a map's value: of its key
    name: str  # the file as its reader knows it
    content: bytes = b""  # as read; empty where it was given as text

    def where(self, path: FieldPath) -> str:
        """`file:line (field)` of the value at `path`, or of what encloses it where the field is missing."""
        known = path
        while known and known not in self.places:
            known = known[:-1]
        place = f"{self.name}:{self.places[known][0]}" if known in self.places else self.name
        return f"{place} ({dotted(path)})" if path else place


def dotted(path: FieldPath) -> str:
    """`gates.thresholds.0.min`, as `--set` takes it too."""
    return ".".join(str(part) for part in path)


def value_at(data: Any, path: FieldPath) -> Any:
    """The value at `path`, None where there is none."""
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def read(path: Path, name: str | None = None) -> Document:
    """Parse the file at `path`, of which no more than the limit is read. Raises SpecError."""
    name = name or str(path)
    try:
        with path.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(
            Finding(
                f"cannot be read: {error.strerror or error}",
                name,
                "a readable YAML file",
                "create it or make it readable",
            )
        ) from None
    kept = _parsed(text, name)
    return replace(kept, data=copy.deepcopy(kept.data))


@lru_cache(maxsize=64)
def _parsed(text: bytes, name: str) -> Document:
    """The same bytes are parsed once a process: a daemon reads its documents at every look, to see an edit at once."""
    return parse(text, name)


def parse(text: bytes | str, name: str) -> Document:
    """Parse one strict document. Raises SpecError with one finding: what follows a syntax error cannot be judged."""
    content = _decode(text, name)
    parser = YAML(typ="safe", pure=True)
    parser.Scanner = _StrictScanner
    builder = _Builder(name)
    try:
        for event in parser.parse(content):
            builder.take(event)
    except _Refused as refused:
        _refuse(name, refused.line, refused.finding)
    except ReaderError as error:
        line = content.count("\n", 0, error.position) + 1
        _refuse(
            name, line, (f"unprintable character U+{ord(content[error.position]):04X}", "printable text", "remove it")
        )
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.context, error.problem) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        remedy = (
            "indent with spaces" if "'\\t'" in problem else f"look at column {column}: quotes, brackets, indentation"
        )
        _refuse(name, line, (f"not YAML: {problem}", "strict YAML 1.2", remedy))
    except (YAMLError, ValueError, OverflowError) as error:  # ruamel lets chr() fail on "\U00110000"
        _refuse(name, builder.line, (f"not YAML: {error}", "strict YAML 1.2", "correct it"))
    return Document(builder.root, builder.places, name, text if isinstance(text, bytes) else b"")


def scalar(text: str, quoted: bool = False) -> str | int | float | bool | None:
    """What a scalar means in the core schema of YAML 1.2. Raises _Refused for what is ambiguous or not finite."""
    if quoted:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _NON_FINITE.fullmatch(text):
        raise _Refused((f"{text} is not a finite number", "a finite number", "write the number that is meant"))
    if _OTHER_BASE.fullmatch(text) or (_FLOAT.fullmatch(text) and _LEADING_ZERO.match(text)):
        expected = "a decimal number without leading zeros"
        raise _Refused(
            (f"{_short(text)} reads differently in YAML 1.1 and 1.2", expected, "write it in decimal, or quote it")
        )
    if _INT.fullmatch(text):
        if len(text) > 20 or abs(int(text)) > MAX_INTEGER:
            raise _Refused(
                (f"{_short(text)} is too large", f"a whole number up to {MAX_INTEGER}", "write a smaller one")
            )
        return int(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if not math.isfinite(value):
            raise _Refused((f"{_short(text)} is not a finite number", "a finite number", "write a smaller one"))
        return value
    return text


class _Refused(Exception):
    """A construct that strict YAML does not take: (error, expected, remedy), and its line once that is known."""

    def __init__(self, finding: tuple[str, str, str], line: int = 0) -> None:
        super().__init__(finding[0])
        self.finding = finding
        self.line = line


def _refuse(name: str, line: int, finding: tuple[str, str, str]) -> NoReturn:
    error, expected, remedy = finding
    raise SpecError(Finding(error, f"{name}:{line}", expected, remedy)) from None


def _decode(text: bytes | str, name: str) -> str:
    if len(text) > MAX_BYTES:
        _refuse(
            name, 1, (f"larger than {MAX_BYTES // 1024} KiB", f"at most {MAX_BYTES // 1024} KiB", "split or shorten it")
        )
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        byte = text[error.start]
        _refuse(name, line, (f"byte 0x{byte:02x} is not UTF-8", "text in UTF-8", "save the file as UTF-8"))


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


class _StrictScanner(Scanner):
    """Refuses what strict YAML does not know as soon as its first character is seen.

    Depth is bounded here and not on the events: the scanner looks a thousand characters ahead before it yields one, in
    quadratic time on nested brackets.
    """

    def _stop(self, error: str, expected: str, remedy: str) -> NoReturn:
        raise _Refused((error, expected, remedy), self.reader.line + 1)

    def _bound_depth(self) -> None:
        if len(self.flow_context) + len(self.indents) >= MAX_DEPTH:
            self._stop(f"nested deeper than {MAX_DEPTH}", f"at most {MAX_DEPTH} levels", "flatten it")

    def fetch_alias(self) -> NoReturn:
        self._stop(
            "aliases (*name) are refused", "the value itself", "write the value out; quote text that starts with *"
        )

    def fetch_anchor(self) -> NoReturn:
        self._stop("anchors (&name) are refused", "the value itself", "remove it; quote text that starts with &")

    def fetch_tag(self) -> NoReturn:
        self._stop("tags (!name) are refused", "a plain value", "remove it; quote text that starts with !")

    def fetch_directive(self) -> NoReturn:
        self._stop("directives (%NAME) are refused", "YAML 1.2 without directives", "remove the line")

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:
        self._bound_depth()
        super().fetch_flow_collection_start(TokenClass, to_push)

    def add_indent(self, column: int) -> bool:
        self._bound_depth()
        return super().add_indent(column)


class _Builder:
    """Puts the parser's events together to data, without recursion."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root: Any = None
        self.places: dict[FieldPath, tuple[int, int]] = {}
        self.line = 1
        self._open: list[tuple[dict[str, Any] | list[Any], FieldPath]] = []
        self._key: str | None = None  # the key whose value comes next, in the innermost open map
        self._documents = 0
        self._values = 0

    def take(self, event: Any) -> None:
        mark = event.start_mark
        self.line = mark.line + 1
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _Refused(("a second document begins", "one document a file", "remove `---`"), self.line)
        elif isinstance(event, ScalarEvent):
            self._scalar(event)
        elif isinstance(event, MappingStartEvent | SequenceStartEvent):
            self._collection(event)
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._open.pop()

    def _scalar(self, event: Any) -> None:
        if any("\ud800" <= character <= "\udfff" for character in event.value):
            raise _Refused(("half of a surrogate pair", "Unicode text", "write the character itself"), self.line)
        quoted = event.style is not None
        if self._open and isinstance(self._open[-1][0], dict) and self._key is None:
            self._take_key(event, quoted)
            return
        try:
            value = scalar(event.value, quoted)
        except _Refused as refused:
            refused.line = self.line
            raise
        self._place(value, event)

    def _take_key(self, event: Any, quoted: bool) -> None:
        container, path = self._open[-1]
        key: str = event.value
        if not quoted and key == "<<":
            raise _Refused(("merge keys (<<) are refused", "the fields themselves", "write them out"), self.line)
        if not quoted and (key in _NULLS or key in _BOOLS or _FLOAT.fullmatch(key)):
            raise _Refused((f"key `{_short(key)}` is not text", "text as a key", "quote it, or correct it"), self.line)
        if key in container:
            first = self.places[(*path, key)][0]
            error = f"key `{_short(key)}` stands here a second time (first on line {first})"
            raise _Refused((error, "each key once", "remove one of the two"), self.line)
        self._key = key
        self.places[(*path, key)] = (self.line, event.start_mark.column + 1)

    def _collection(self, event: Any) -> None:
        if self._open and isinstance(self._open[-1][0], dict) and self._key is None:
            raise _Refused(("a map or list as a key", "text as a key", "write a text key"), self.line)
        value: dict[str, Any] | list[Any] = {} if isinstance(event, MappingStartEvent) else []
        path = self._place(value, event)
        self._open.append((value, path))

    def _place(self, value: Any, event: Any) -> FieldPath:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _Refused((f"more than {MAX_VALUES} values", f"at most {MAX_VALUES}", "shorten it"), self.line)
        if not self._open:
            self.root = value
            self.places[()] = (self.line, event.start_mark.column + 1)
            return ()
        container, path = self._open[-1]
        if isinstance(container, dict):
            assert self._key is not None
            path = (*path, self._key)
            container[self._key] = value
            self._key = None
        else:
            path = (*path, len(container))
            container.append(value)
            self.places[path] = (self.line, event.start_mark.column + 1)
        return path
