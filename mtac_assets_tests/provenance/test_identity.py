"""Identity: the fingerprint moves with what decides the weights, in both directions, and with nothing else."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.provenance.identity import (
    Change,
    Declaration,
    UndeclarableError,
    compare,
    declare,
    fingerprint_of,
    flatten,
)
from mtac_assets.provenance.partitions_intact import PartitionDamagedError

values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-9, 9),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=4),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)


@given(values, values)
def test_two_documents_share_their_leaves_only_if_they_are_equal(one: Any, other: Any) -> None:
    same = dict(flatten("recipe", one)) == dict(flatten("recipe", other))
    assert same == (repr(_plain(one)) == repr(_plain(other)))


def _plain(value: Any) -> Any:
    """The value with sorted keys, so that equal documents print alike (1, 1.0 and True do not)."""
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    return [_plain(child) for child in value] if isinstance(value, list) else value


def test_the_fingerprint_is_over_the_leaves_and_nothing_else() -> None:
    declaration = Declaration({"a": {"b": 1}}, {"f.py::g": "0"}, {"d/all": "1"}, {"python": "3"})
    leaves = {"recipe.a.b": "1", "code.f.py::g": "0", "data.d/all": "1", "environment.python": "3"}
    assert declaration.leaves() == leaves
    assert declaration.fingerprint == fingerprint_of(dict(reversed(leaves.items())))
    assert declaration.model_id("x") == f"x-{declaration.fingerprint[:12]}"


def test_declaring_without_the_data_names_what_is_missing(shop: Any) -> None:
    shop.stock(without=["2024-01-29"])
    with pytest.raises(UndeclarableError, match="sales/2024-01-29"):
        declare(shop.project, shop.resolve())


@pytest.mark.parametrize(
    ("override", "leaf"),
    [("training.learning_rate=3e-3", "recipe.training.learning_rate"), ("training.seed=2", "recipe.training.seed")],
)
def test_a_recipe_field_moves_the_fingerprint(stocked: Any, override: str, leaf: str) -> None:
    one = declare(stocked.project, stocked.resolve())
    other = declare(stocked.project, stocked.resolve(override))
    assert [change.leaf for change in compare(one.leaves(), other.leaves())] == [leaf]
    assert one.fingerprint != other.fingerprint


def test_gates_and_triggers_move_nothing(stocked: Any) -> None:
    one = declare(stocked.project, stocked.resolve())
    gate = "gates: {thresholds: [{metric: roc_auc, min: 0.5}]}\ntriggers: {schedule: {cron: '0 3 * * *'}}\n"
    recipe = "shop/defs/demand/recipe.yaml"
    stocked.write(recipe, (stocked.root / recipe).read_text() + gate)
    assert declare(stocked.project, stocked.resolve()).fingerprint == one.fingerprint


def test_exactly_the_partitions_of_the_window_count(stocked: Any) -> None:
    one = declare(stocked.project, stocked.resolve())
    days = [f"sales/2024-01-{day}" for day in range(26, 32)]
    assert list(one.data) == days  # two days of history, three to train on, one to validate
    stocked.partition("2024-01-25", "another row")
    stocked.partition("2024-02-01", "another row of a test day")
    assert declare(stocked.project, stocked.resolve()).fingerprint == one.fingerprint
    stocked.partition("2024-01-26", "another row of history")
    other = declare(stocked.project, stocked.resolve())
    assert [change.leaf for change in compare(one.leaves(), other.leaves())] == ["data.sales/2024-01-26"]


def test_the_environment_counts_by_what_the_closure_imports(stocked: Any) -> None:
    stocked.edit("shop/calendar.py", "import json", "import json\nimport hypothesis")
    environment = declare(stocked.project, stocked.resolve()).environment
    assert environment["package.hypothesis"]
    assert "package.sortedcontainers" in environment  # what hypothesis requires
    assert "package.ruff" not in environment  # installed, and in nobody's requirements
    assert environment["python"].startswith("CPython 3.")


def test_a_partition_whose_bytes_changed_under_its_manifest_is_refused(stocked: Any) -> None:
    (stocked.project.state.data / "sales" / "2024-01-30.parquet").write_bytes(b"rows of 2024-01-3X")
    with pytest.raises(PartitionDamagedError, match="2024-01-30"):
        declare(stocked.project, stocked.resolve())


def test_a_remembered_partition_costs_no_reading_and_a_touched_one_is_read_again(stocked: Any) -> None:
    stocked.age()
    first = declare(stocked.project, stocked.resolve())
    path = stocked.project.state.data / "sales" / "2024-01-30.parquet"
    status = path.stat()
    assert declare(stocked.project, stocked.resolve()).fingerprint == first.fingerprint
    path.write_bytes(b"rows of 2024-01-3X")
    assert path.stat().st_size == status.st_size
    with pytest.raises(PartitionDamagedError):
        declare(stocked.project, stocked.resolve())


def test_compare_tells_new_gone_and_changed() -> None:
    assert compare({"a": "1", "b": "1"}, {"b": "2", "c": "3"}) == [
        Change("a", "1", None),
        Change("b", "1", "2"),
        Change("c", None, "3"),
    ]


def test_a_dataset_that_calls_another_column_an_outcome_makes_another_model(tmp_path: Path) -> None:
    """What features may see of a row is decided in dataset.yaml, so it counts."""
    from mtac_assets.provenance.closure import closure_of_recipe
    from mtac_assets.spec.load import load_recipe
    from mtac_assets.spec.project import find_project
    from mtac_assets_tests.tides import make_project

    project = make_project(tmp_path)
    resolved = load_recipe(project, "floods", as_of=date(2024, 1, 8))
    before = closure_of_recipe(project, resolved).leaves
    path = project.datasets()["tides"]
    path.write_text(path.read_text().replace("outcome_columns: [flooded]", "outcome_columns: [flooded, level]"))
    after = closure_of_recipe(find_project(tmp_path), resolved).leaves
    assert [leaf for leaf in before if before[leaf] != after[leaf]] == [
        f"code.{project.package}/defs/tides/dataset.yaml::columns"
    ]
