"""Files that are made from the models: JSON Schemas for editors, and the reference of every field.

`python -m mtac_assets.spec.reference` from the repository's root writes them; a test holds them in line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mtac_assets.spec.schema import FILE_NAME, KINDS, json_schema, kind_of, resolve

_INTRODUCTION = """\
# The recipe language, field by field

Made by `python -m mtac_assets.spec.reference` from the models in `mtac_assets/spec/`; change it there.
YAML 1.2, strictly: no anchors, aliases, tags, duplicate keys or second documents; `1e-3` is a number, `no` is text,
`012` is refused. Unknown fields are errors. A field without a default must be written.
Any field of a recipe may be set for one run: `--set training.learning_rate=3e-3`; the override becomes part of the recipe.
"""
_TITLES = {
    "recipe": "Recipe (`defs/<name>/recipe.yaml`)",
    "language_recipe": "Recipe of a language model (`defs/<name>/recipe.yaml` with a `mix`)",
    "dataset": "Dataset (`defs/<name>/dataset.yaml`)",
    "environment": "Environment (`environments/<name>.yaml`, chosen by `APP_ENV`)",
}


def files() -> dict[str, str]:
    """Path in the repository to content, of every file made here."""
    made = {
        f"docs/schema/{FILE_NAME.format(kind=kind)}": json.dumps(json_schema(kind), indent=2, ensure_ascii=False) + "\n"
        for kind in KINDS
    }
    made["docs/recipe.md"] = markdown()
    return made


def markdown() -> str:
    """docs/recipe.md."""
    parts = [_INTRODUCTION]
    for kind in KINDS:
        schema = json_schema(kind)
        rows = ["| " + " | ".join(_cell(text) for text in row) + " |" for row in _rows(schema, schema, "")]
        head = [f"## {_TITLES[kind]}", "", "| field | meaning | expects | default |", "|---|---|---|---|"]
        parts.append("\n".join([*head, *rows, ""]))
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _rows(schema: Mapping[str, Any], node: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """(path, meaning, what is expected, default) of every field below `node`."""
    required = node.get("required", [])
    for name, given in node.get("properties", {}).items():
        field = resolve(schema, given)
        path = prefix + name
        default = "" if name in required else _default(field)
        yield f"`{path}`", field.get("description", ""), kind_of(field), default
        for inner, suffix in _inner(field):
            yield from _rows(schema, resolve(schema, inner), path + suffix)


def _inner(field: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Maps inside a field: its own, those of its list, those of its choices."""
    if "properties" in field:
        yield field, "."
    if "items" in field:
        yield field["items"], "[]."
    for branch in (*field.get("oneOf", ()), *field.get("anyOf", ())):
        kind = branch.get("properties", {}).get("kind", {}).get("const")
        if "properties" in branch:
            yield branch, f"({kind})." if kind else "."


def _default(field: Mapping[str, Any]) -> str:
    if "default" in field:
        return f"`{json.dumps(field['default'])}`"
    return "its fields' defaults" if field.get("properties") else "`{}`"


def main(root: Path) -> None:
    """Write the files that differ."""
    for name, content in files().items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            print(f"wrote {name}")


if __name__ == "__main__":
    main(Path.cwd())
