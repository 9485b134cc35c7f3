"""Committed files that are made from the models are in line with them, and editors find them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtac_assets.spec.reference import files
from mtac_assets.spec.schema import KINDS, json_schema


@pytest.mark.parametrize("name", sorted(files()))
def test_committed_files_are_in_line(root: Path, name: str):
    assert (root / name).read_text(encoding="utf-8") == files()[name], "run python -m mtac_assets.spec.reference"


@pytest.mark.parametrize("kind", KINDS)
def test_shipped_files_satisfy_the_schema_that_they_name(root: Path, kind: str):
    jsonschema = pytest.importorskip("jsonschema")
    from mtac_assets.spec import yaml

    every = [*root.glob("mtac_assets/defs/*/*.yaml"), *root.glob("mtac_assets/environments/*.yaml")]
    shipped = {path: path.read_text().splitlines()[0] for path in every if path.name != "defs.yaml"}
    assert all("$schema=" in first for first in shipped.values())
    shipped = {path: first for path, first in shipped.items() if first.endswith(f"/{kind}.schema.json")}
    assert shipped
    for path, first in shipped.items():
        named = (path.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve()
        assert json.loads(named.read_text()) == json_schema(kind)
        jsonschema.validate(yaml.read(path).data, json.loads(named.read_text()))


def test_every_field_says_what_it_means():
    for kind in KINDS:
        schema = json_schema(kind)
        for model in [schema, *schema["$defs"].values()]:
            for name, field in model.get("properties", {}).items():
                assert field.get("description") or "$ref" in field, f"{kind}: {name}"
