"""A document against its model: the model, or every finding at once, each with its line.

Two kinds of rule are brought together: those of single fields (the pydantic models), and those between fields
(`checks`), which run on every section that is sound by itself, also where another one is not.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from pydantic import ValidationError

from mtac_assets.spec.checks import Check
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.fields import Spec
from mtac_assets.spec.spelling import closest
from mtac_assets.spec.yaml import FieldPath, dotted, value_at

M = TypeVar("M", bound=Spec)

_TAG = re.compile(r"<\w+>")


class Placed(Protocol):
    """Data that knows where its fields stand: a YAML document, perhaps with overrides, or a JSON one."""

    @property
    def data(self) -> Any: ...

    def where(self, path: FieldPath) -> str: ...


@dataclass(frozen=True, slots=True)
class Validated(Generic[M]):
    """The model, where nothing is wrong; every finding; and the top-level fields that are sound by themselves."""

    model: M | None
    findings: tuple[Finding, ...]
    sections: Mapping[str, Any]


def validate(model: type[M], document: Placed, checks: Sequence[Check]) -> Validated[M]:
    """Hold a document against its model and the rules between its fields."""
    data = document.data
    if not isinstance(data, dict):
        finding = Finding(
            f"the file holds {_shown(data)}", document.where(()), "a map of fields", "write `field: value`"
        )
        return Validated(None, (finding,), {})
    findings: list[Finding] = []
    try:
        result: M | None = model.model_validate_json(json.dumps(data))
        sections: Mapping[str, Any] = {name: getattr(result, name) for name in model.model_fields}
    except ValidationError as error:
        result = None
        paths = [_path(entry["loc"]) for entry in error.errors(include_url=False, include_context=False)]
        findings = _findings(model, document, error)
        sections = _sound_sections(model, cast("dict[str, Any]", data), paths, error)
    for check in checks:
        if all(name in sections for name in check.sections):
            for problem in check.run(*(sections[name] for name in check.sections)):
                where = document.where(problem.path)
                findings.append(Finding(problem.error, where, problem.expected, problem.remedy))
    return Validated(None if findings else result, tuple(findings), sections)


def name_matches(document: Placed, expected: str, container: str) -> list[Finding]:
    """A document's `name` is that of the folder or file it lies in, or there are two words for one thing."""
    name = value_at(document.data, ("name",))
    if not isinstance(name, str) or name == expected:
        return []
    error = f"`name` is {name}, but the {container} is called {expected}"
    remedy = f"write {expected}, or rename the {container}"
    return [Finding(error, document.where(("name",)), f"the {container}'s name", remedy)]


def _path(loc: tuple[str | int, ...]) -> FieldPath:
    return tuple(part for part in loc if not (isinstance(part, str) and (_TAG.fullmatch(part) or part == "[key]")))


def _sound_sections(
    model: type[M], data: dict[str, Any], paths: list[FieldPath], error: ValidationError
) -> dict[str, Any]:
    """Top-level fields that are valid, once keys that nobody knows are taken away."""
    from pydantic import TypeAdapter

    data = copy.deepcopy(data)
    for entry, path in zip(error.errors(include_url=False, include_context=False), paths, strict=True):
        if entry["type"] == "extra_forbidden":
            _remove(data, path)
    try:
        whole = model.model_validate_json(json.dumps(data))
        return {name: getattr(whole, name) for name in model.model_fields}
    except ValidationError as remaining:
        broken = {_path(entry["loc"])[0] for entry in remaining.errors(include_url=False) if _path(entry["loc"])}
    sound: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name in broken:
            continue
        if name in data:
            sound[name] = TypeAdapter[Any](cast("Any", field.annotation)).validate_json(json.dumps(data[name]))
        else:
            sound[name] = field.get_default(call_default_factory=True)
    return sound


def _remove(data: Any, path: FieldPath) -> None:
    for part in path[:-1]:
        data = data[part]
    del data[path[-1]]


def _findings(model: type[M], document: Placed, error: ValidationError) -> list[Finding]:
    from mtac_assets.spec.schema import describe, node_at, schema_of

    schema = schema_of(model)
    findings: dict[FieldPath, Finding] = {}
    for entry in error.errors(include_url=False, include_context=False):
        path, kind = _path(entry["loc"]), entry["type"]
        if path in findings:
            continue  # a value that fits no branch of a choice is one fault, however many branches there are
        node = node_at(schema, path, document.data)
        name, where = dotted(path), document.where(path)
        if kind == "extra_forbidden":
            parent = node_at(schema, path[:-1], document.data)
            findings[path] = _unknown_key(path, where, sorted((parent or {}).get("properties", {})))
        elif kind == "missing":
            expected = describe(node) if node else "this field"
            findings[path] = Finding(f"`{name}` is missing", where, expected, f"add `{path[-1]}:`")
        elif kind in ("union_tag_not_found", "union_tag_invalid"):
            findings[path] = _wrong_kind(path, document, node)
        else:
            expected = describe(node) if node else entry["msg"]
            value = value_at(document.data, path)
            remedy = _remedy(name, value, node)
            findings[path] = Finding(f"`{name}` is {_shown(value)}", where, expected, remedy)
    return list(findings.values())


def _unknown_key(path: FieldPath, where: str, known: list[str]) -> Finding:
    guess = closest(str(path[-1]), known)
    remedy = f"write `{guess}`" if guess else "remove it"
    return Finding(f"unknown key `{dotted(path)}`", where, f"one of: {', '.join(known)}", remedy)


def _wrong_kind(path: FieldPath, document: Placed, node: Mapping[str, Any] | None) -> Finding:
    value = value_at(document.data, path)
    branches: list[dict[str, Any]] = (node or {}).get("oneOf", [])
    kinds: list[str] = [branch["properties"]["kind"]["const"] for branch in branches]
    expected = f"a map with `kind`, one of: {', '.join(kinds)}"
    if not isinstance(value, dict):
        return Finding(f"`{dotted(path)}` is {_shown(value)}", document.where(path), expected, "write it as a map")
    at = (*path, "kind")
    if "kind" not in value:
        return Finding(f"`{dotted(at)}` is missing", document.where(at), expected, "add `kind:`")
    kind = value_at(document.data, at)
    guess = closest(str(kind), kinds)
    remedy = f"write `{guess}`" if guess else "write one of them"
    return Finding(f"`{dotted(at)}` is {_shown(kind)}", document.where(at), expected, remedy)


def _remedy(name: str, value: Any, node: Mapping[str, Any] | None) -> str:
    listed: list[Any] = (node or {}).get("enum", [])
    choices = [choice for choice in listed if isinstance(choice, str)]
    if isinstance(value, str):
        guess = closest(value, choices)
        if guess:
            return f"write `{guess}`"
        if (
            node
            and node.get("type") in ("integer", "number")
            and re.fullmatch(r"[-+]?[\d_]+(\.\d*)?([eE][-+]?\d+)?", value)
        ):
            return f"write {value.replace('_', '')} without quotes or underscores"
    if value is None:
        return f"give `{name}` a value, or remove the line if it has a default"
    return f"change the value of `{name}`"


def _shown(value: Any) -> str:
    if value is None:
        return "empty (null)"
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list" if cast("list[Any]", value) else "an empty list"
    text: str = json.dumps(value, ensure_ascii=False)
    text = text if len(text) <= 60 else text[:57] + "..."
    kind = "text" if isinstance(value, str) else "true/false" if isinstance(value, bool) else None
    return f"{text} ({kind or ('a whole number' if isinstance(value, int) else 'a number')})"
