"""What holds for every recipe: documents come back equal, and no mutation of a file ends in a traceback."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtac_assets.spec import yaml
from mtac_assets.spec.errors import Finding, SpecError
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project
from mtac_assets.spec.recipe import Recipe
from mtac_assets.spec.recipe_checks import CHECKS
from mtac_assets.spec.stored import StoredDocument, parse_resolved
from mtac_assets.spec.validate import validate

AS_OF = date(2024, 2, 1)
quiet = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
scalars = st.none() | st.booleans() | st.integers(-5, 2**64) | st.floats() | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
)
windows = st.tuples(st.integers(2, 20), st.integers(1, 19), st.integers(1, 20), st.integers(0, 30)).filter(
    lambda window: window[1] < window[0]
)
numbers = st.floats(1e-12, 1e6, allow_nan=False)


@quiet
@given(window=windows, rate=numbers, share=st.floats(0, 0.99), seed=st.integers(0, 2**53 - 1), day=st.integers(0, 30))
def test_a_document_comes_back_equal(
    project: Project, window: tuple[int, int, int, int], rate: float, share: float, seed: int, day: int
):
    names = ("train_days", "validate_days", "test_days", "history_days")
    overrides = [f"window.{name}={value}" for name, value in zip(names, window, strict=True)]
    overrides += [
        f"training.learning_rate={rate!r}",
        f"training.schedule.warmup_share={share!r}",
        f"training.seed={seed}",
    ]
    resolved = load_recipe(project, "returns", overrides, date(2024, 1, 25 + day % 7))
    stored = json.dumps(resolved.document()).encode()
    back = parse_resolved(stored, "recipe.json", project.root)
    assert back == resolved
    assert back.document() == resolved.document()
    assert resolved.recipe.training.learning_rate == rate


@quiet
@given(window=windows)
def test_windows_follow_each_other_without_gap_or_overlap(project: Project, window: tuple[int, int, int, int]):
    names = ("train_days", "validate_days", "test_days", "history_days")
    overrides = [f"window.{name}={value}" for name, value in zip(names, window, strict=True)]
    resolved = load_recipe(project, "returns", overrides, AS_OF)
    found = resolved.windows()
    days = [date.fromisoformat(key).toordinal() for key in found.all]
    assert days == list(range(days[0], days[0] + len(days)))
    assert len(found.train) + len(found.validate) == window[0]
    assert (len(found.validate), len(found.test)) == (window[1], window[2])
    assert found.test[0] == AS_OF.isoformat()
    assert len(found.history) <= window[3]


def findings_of(call: Callable[[], object]) -> tuple[Finding, ...]:
    """What `call` finds wrong, nothing where it succeeds; any other error fails the test."""
    try:
        call()
    except SpecError as error:
        return error.findings
    return ()


def _paths(data: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(found for key, value in inner for found in _paths(value, (*path, key)))]


@quiet
@given(data=st.data())
def test_a_mutated_recipe_is_valid_or_has_findings(root: Path, data: st.DataObject):
    document = yaml.read(root / "mtac_assets/defs/flight_delays/recipe.yaml").data
    mutated = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(_paths(mutated)[1:]))
        parent = yaml.value_at(mutated, path[:-1])
        action = data.draw(st.sampled_from(["replace", "delete", "rename", "add"]))
        if action == "replace":
            parent[path[-1]] = data.draw(values.filter(_plain))
        elif action == "add" and isinstance(parent, dict):
            parent[data.draw(st.text(max_size=6))] = data.draw(values.filter(_plain))
        elif action == "rename" and isinstance(parent, dict):
            parent[str(path[-1]) + "x"] = parent.pop(path[-1])
        else:
            del parent[path[-1]]
    validated = validate(Recipe, StoredDocument(mutated, "recipe.yaml"), CHECKS)
    recipe, findings = validated.model, validated.findings
    assert (recipe is None) == bool(findings)
    for finding in findings:
        assert finding.error
        assert finding.expected
        assert finding.remedy
        assert finding.where.startswith("recipe.yaml")
    if recipe is not None:
        assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def _plain(value: Any) -> bool:
    """Could a YAML document hold it?"""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


@quiet
@given(position=st.integers(0, 2000), length=st.integers(0, 30), junk=st.text(max_size=20))
def test_a_file_with_any_part_replaced_loads_or_has_findings(project: Project, position: int, length: int, junk: str):
    path = project.root / "team/defs/returns/recipe.yaml"
    original = path.read_bytes()
    at = position % len(original)
    path.write_bytes(original[:at] + junk.encode("utf-8", "surrogatepass") + original[at + length :])
    found = findings_of(lambda: load_recipe(project, "returns", as_of=AS_OF))
    path.write_bytes(original)
    assert all(finding.where and finding.remedy for finding in found)


@quiet
@given(
    text=st.text(max_size=30)
    | st.builds("{}={}".format, st.sampled_from(["training.epochs", "gates", "model.settings.x"]), st.text(max_size=10))
)
def test_any_override_is_applied_or_has_findings(project: Project, text: str):
    found = findings_of(lambda: load_recipe(project, "returns", [text], AS_OF))
    assert all(finding.where and finding.remedy for finding in found)


@pytest.mark.parametrize("name", ["recipe", "dataset", "environment"])
def test_the_schema_has_no_reference_outside_itself(name: str):
    from mtac_assets.spec.schema import json_schema

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [found for value in node.values() for found in references(value)]
        return [found for value in node for found in references(value)] if isinstance(node, list) else []

    schema = json_schema(name)
    assert all(
        reference.startswith("#/$defs/") and reference[8:] in schema["$defs"] for reference in references(schema)
    )
