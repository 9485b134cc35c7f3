"""JSON Schema of each kind of document, for editors; and what a field of it expects, in words, for findings."""

# Schemas are JSON of any shape.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from mtac_assets.spec.fields import Spec
from mtac_assets.spec.yaml import FieldPath

KINDS = ("recipe", "language_recipe", "dataset", "environment")
FILE_NAME = "{kind}.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def model_of(kind: str) -> type[Spec]:
    """The model of a kind of document. KeyError for an unknown one."""
    from mtac_assets.spec.dataset import Dataset
    from mtac_assets.spec.environment import Environment
    from mtac_assets.spec.language import LanguageRecipe
    from mtac_assets.spec.recipe import Recipe

    models: dict[str, type[Spec]] = {
        "recipe": Recipe,
        "language_recipe": LanguageRecipe,
        "dataset": Dataset,
        "environment": Environment,
    }
    return models[kind]


def json_schema(kind: str) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `recipe`, `language_recipe`, `dataset` or `environment`, self-contained."""
    return {"$schema": DIALECT, "$id": FILE_NAME.format(kind=kind), **schema_of(model_of(kind))}


@cache
def schema_of(model: type[Spec]) -> dict[str, Any]:
    """JSON Schema of a model, with the titles that pydantic makes up taken out."""
    return _tidy(model.model_json_schema())


def _tidy(node: Any) -> Any:
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: _tidy(item) for name, item in value.items()} if key in ("properties", "$defs") else _tidy(value)
        for key, value in node.items()
        if key != "title"
    }


def node_at(schema: Mapping[str, Any], path: FieldPath, data: Any) -> dict[str, Any] | None:
    """The schema of the field at `path`; where `kind` decides, `data` tells which branch is meant. None: no such field."""
    node = resolve(schema, schema)
    for part in path:
        branch = _branch(node, data)
        inner: Any = branch.get("items") if isinstance(part, int) else _member(branch, part)
        if inner is True:
            return {}  # a setting: any JSON value
        if not inner:
            return None
        node = resolve(schema, inner)
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
    return node


def _member(node: Mapping[str, Any], name: str) -> Any:
    known = node.get("properties", {}).get(name)
    patterned: list[Any] = list(node.get("patternProperties", {}).values())
    return known if known is not None else patterned[0] if patterned else node.get("additionalProperties")


def resolve(schema: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    """`node` with its reference followed, its own words first; branches of a choice likewise."""
    if "$ref" in node:
        target = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    result = dict(node)
    for choice in ("oneOf", "anyOf"):
        if choice in result:
            result[choice] = [resolve(schema, branch) for branch in result[choice]]
    return result


def _branch(node: dict[str, Any], data: Any) -> dict[str, Any]:
    """The branch of a choice that has members: the one whose `kind` the data names, else the first."""
    branches: list[dict[str, Any]] = node.get("oneOf") or node.get("anyOf") or [node]
    compound = [branch for branch in branches if branch.get("type") in ("object", "array")]
    kind = data.get("kind") if isinstance(data, dict) else None
    for branch in compound:
        if kind is not None and branch.get("properties", {}).get("kind", {}).get("const") == kind:
            return branch
    return compound[0] if compound else {}


def describe(node: Mapping[str, Any]) -> str:
    """What a field expects, in words: `a whole number, at least 1 (passes over the training rows)`."""
    meaning = str(node.get("description", "")).rstrip(".")
    return f"{kind_of(node)} ({meaning[0].lower()}{meaning[1:]})" if meaning else kind_of(node)


def kind_of(node: Mapping[str, Any]) -> str:
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        return "one of: " + ", ".join(str(choice) for choice in node["enum"])
    branches = node.get("oneOf") or node.get("anyOf")
    if branches:
        return " or ".join(dict.fromkeys(kind_of(branch) for branch in branches))
    kind = node.get("type")
    if kind == "array":
        items = node.get("items")
        return (
            "a list" + (", not empty" if node.get("minItems") else "") + (f", each {kind_of(items)}" if items else "")
        )
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _bounds(node)
    if kind == "string":
        return _text(node)
    return {"object": "a map", "boolean": "true or false", "null": "null"}.get(str(kind), "any value")


def _bounds(node: Mapping[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    return "".join(
        f", {word} {node[key]:g}" for key, word in words.items() if key in node and abs(node[key]) < 2**53 - 1
    )


def _text(node: Mapping[str, Any]) -> str:
    from mtac_assets.spec import fields, ratios

    if node.get("format") == "date":
        return f"a date written as YYYY-MM-DD, {fields.FIRST_YEAR} to {fields.LAST_YEAR}"
    names = {
        fields.NAME_PATTERN: "a name (a to z first, then a to z, 0 to 9, _)",
        fields.COLUMN_PATTERN: "a column name",
        fields.FUNCTION_PATTERN: "module:function",
        fields.OWNER_PATTERN: "team:NAME or an e-mail address",
        fields.MODEL_PATTERN: "the name of a built-in model, or module:function",
        fields.TASK_PATTERN: "the name of a built-in task, or module:function",
        ratios.RATIO_PATTERN: "a fraction such as 3/8",
        fields.VARIABLE_PATTERN: "the name of an environment variable",
    }
    pattern = node.get("pattern")
    if pattern is None:
        return "text"
    return names.get(pattern, f"text like {pattern}")
