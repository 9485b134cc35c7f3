"""Command-line overrides, `--set training.learning_rate=3e-3`: parsed as strictly as the file, laid over its data."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from mtac_assets.spec import yaml
from mtac_assets.spec.errors import Finding, SpecError
from mtac_assets.spec.yaml import Document, FieldPath, value_at


@dataclass(frozen=True, slots=True)
class Overridden:
    """A document under overrides: a field that was set stands on the command line, all others in the file."""

    data: Any
    document: Document
    set_by: dict[FieldPath, str]

    def where(self, path: FieldPath) -> str:
        """`--set text` of the override that the field at `path` comes from, else its place in the file."""
        for length in range(len(path), 0, -1):
            text = self.set_by.get(path[:length])
            if text is not None:
                return f"--set {text}"
        if path not in self.document.places:
            for known, text in self.set_by.items():
                if known[: len(path)] == path:
                    return f"--set {text}"  # a section that only overrides began
        return self.document.where(path)


def apply(document: Document, overrides: Sequence[str]) -> tuple[Overridden, list[Finding]]:
    """Lay `overrides` over the document in order, the later one winning. Whether a field exists is for the schema to say."""
    data: Any = copy.deepcopy(document.data)
    set_by: dict[FieldPath, str] = {}
    findings: list[Finding] = []
    for text in overrides:
        try:
            path, value = _parse(text)
            if isinstance(data, dict):
                path = _set(cast("dict[str, Any]", data), path, value, text)
                set_by = {known: by for known, by in set_by.items() if known[: len(path)] != path}
                set_by[path] = text
        except SpecError as error:
            findings.extend(error.findings)
    return Overridden(data, document, set_by), findings


def _parse(text: str) -> tuple[FieldPath, Any]:
    field, equals, written = text.partition("=")
    parts = field.strip().split(".")
    if not equals or not all(part.strip() == part and part for part in parts):
        raise _wrong(text, f"`{text}` is not an override", "write --set training.epochs=5")
    try:
        value = yaml.parse(written, "value").data
    except SpecError as error:
        raise _wrong(text, f"the value is refused: {error.findings[0].error}", error.findings[0].remedy) from None
    if isinstance(value, dict):
        raise _wrong(text, "the value is a map", "set each field of it on its own")
    return tuple(int(part) if part.isascii() and part.isdigit() and len(part) < 6 else part for part in parts), value


def _set(data: dict[str, Any], path: FieldPath, value: Any, text: str) -> FieldPath:
    """Set one field; sections that the file leaves out are begun, entries of lists must be there. The path as taken."""
    inner: Any = data
    taken: FieldPath = ()
    for position, part in enumerate(path):
        last = position == len(path) - 1
        if isinstance(inner, list):
            length = len(cast("list[Any]", inner))
            if not isinstance(part, int) or part >= length:
                have = f"entries 0 to {length - 1}" if length else "no entries"
                raise _wrong(text, f"`{yaml.dotted(taken)}` has {have}", "name one of them, or set the whole list")
            taken = (*taken, part)
        elif isinstance(inner, dict):
            taken = (*taken, str(part))
            if not last and value_at(inner, taken[-1:]) is None:
                cast("dict[str, Any]", inner)[str(part)] = {}
        else:
            raise _wrong(text, f"`{yaml.dotted(taken)}` has no fields", "set it as a whole")
        if last:
            cast("dict[str | int, Any]", inner)[taken[-1]] = value
        inner = value_at(inner, taken[-1:])
    return taken


def _wrong(text: str, error: str, remedy: str) -> SpecError:
    return SpecError(Finding(error, f"--set {text}", "FIELD.FIELD=VALUE, the value a YAML scalar or list", remedy))
