"""The closure: what changes a model's identity, what does not, and what is named."""

from __future__ import annotations

import types
from typing import Any

import pytest

from mtac_assets.provenance import closure
from mtac_assets.provenance.closure import ClosureError, closure_of, closure_of_recipe, loaded_outside_closure
from mtac_assets.provenance.identity import compare
from mtac_assets.spec.load import load_recipe
from mtac_assets_tests.texts import RECIPE, make_texts


def leaves(shop: Any) -> dict[str, str]:
    """The closure's leaves that belong to the team's project; the engine's own are followed the same way."""
    found = closure_of_recipe(shop.project, shop.resolve()).leaves
    return {name: digest for name, digest in found.items() if name.startswith("code.shop/")}


def changed(shop: Any, edit: Any) -> set[str]:
    before = leaves(shop)
    edit()
    return {change.leaf for change in compare(before, leaves(shop))}


def test_it_follows_imports_from_the_recipe_also_inside_functions(shop: Any) -> None:
    files = {name.split("::")[0] for name in leaves(shop)}
    assert files == {
        "code.shop/__init__.py",
        "code.shop/calendar.py",
        "code.shop/defs/demand/features.py",
        "code.shop/defs/demand/beside.py",
        "code.shop/defs/demand/tills.csv",
        "code.shop/defs/sales/dataset.yaml",
    }


def test_a_changed_helper_is_named(shop: Any) -> None:
    edit = lambda: shop.edit("shop/calendar.py", "day.weekday()", "day.weekday() + 1")  # noqa: E731
    assert changed(shop, edit) == {"code.shop/calendar.py::weekday"}


def test_a_data_file_beside_the_recipe_counts_by_its_bytes(shop: Any) -> None:
    assert changed(shop, lambda: shop.write("shop/defs/demand/tills.csv", "till\n2\n")) == {
        "code.shop/defs/demand/tills.csv"
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("README.md", "Another shop.\n"),
        ("shop/web.py", "def page():\n    return 'another'\n"),
        ("shop/definitions.py", "defs = 1\n"),
        ("shop/defs/demand/README.md", "About.\n"),
        ("shop/defs/demand/defs.yaml", "type: x\n"),
        ("shop/defs/demand/notes.py", "SECRET = 1\n"),
        ("shop/defs/demand/.env", "TOKEN=1\n"),
        ("shop/calendar.py", '"""Days."""\nimport json\n\ndef weekday(day):\n    # Monday is 0\n    return day.weekday()\n\n\ndef unused(day): return 7\n'),
    ],
)  # fmt: skip
def test_what_does_not_train_changes_nothing(shop: Any, name: str, text: str) -> None:
    assert changed(shop, lambda: shop.write(name, text)) == set()


def test_the_recipe_file_itself_counts_through_its_fields_only(shop: Any) -> None:
    assert (
        changed(shop, lambda: shop.edit("shop/defs/demand/recipe.yaml", "schema_version: 1", "# c\nschema_version: 1"))
        == set()
    )


def test_an_answer_remembered_by_file_state_is_the_same_and_an_edit_is_still_seen(shop: Any) -> None:
    shop.age()
    first = leaves(shop)
    assert (shop.project.state.cache / "closure.json").is_file()
    assert leaves(shop) == first
    edit = lambda: shop.edit("shop/calendar.py", "return 7", "return 8")  # noqa: E731
    assert changed(shop, edit) == {"code.shop/calendar.py::unused"}


@pytest.mark.parametrize(
    ("name", "leaf"),
    [
        ("shop/defs/demand/rates.csv", "code.shop/defs/demand/rates.csv"),
        ("shop/calendar/__init__.py", "code.shop/calendar/__init__.py::<module>"),
    ],
)
def test_it_is_followed_once_until_something_that_it_looked_at_changes_or_comes_to_be(
    shop: Any, monkeypatch: pytest.MonkeyPatch, name: str, leaf: str
) -> None:
    followed: list[object] = []
    follow = closure._follow
    monkeypatch.setattr(closure, "_follow", lambda *of: followed.append(of) or follow(*of))
    monkeypatch.setattr(closure, "settled", lambda _: True)  # as if all had been written long ago
    first = leaves(shop), leaves(shop)  # the first makes the folder of the cache
    assert followed
    followed.clear()
    assert (leaves(shop), leaves(shop)) == first
    assert followed == []
    shop.write(name, "week = 7\n")  # beside the recipe; and a package that goes before the module of its name
    assert leaf in leaves(shop)


def test_the_engine_is_followed_and_its_faces_are_outside(shop: Any) -> None:
    found = closure_of_recipe(shop.project, shop.resolve())
    engine = {name.split("::")[0] for name in found.leaves if name.startswith("code.mtac_assets/")}
    assert "code.mtac_assets/__init__.py" in engine
    for face in ("cli", "orchestration", "tracking", "promotion", "definitions.py"):
        assert not {name for name in engine if name.startswith(f"code.mtac_assets/{face}")}


def test_packages_imported_on_the_way_count_with_their_init(tmp_path: Any) -> None:
    for name, text in {
        "p/__init__.py": "A = 1\n",
        "p/q/__init__.py": "from . import r\n",
        "p/q/r.py": "from ..s import thing\n",
        "p/s.py": "thing = 1\nimport numpy.linalg, os, nowhere\n",
        "p/t.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = closure_of(["p.q"], tmp_path, "p")
    assert {file.relative_to(tmp_path).as_posix() for file in found.files} == {
        "p/__init__.py",
        "p/q/__init__.py",
        "p/q/r.py",
        "p/s.py",
    }
    assert found.external == ("nowhere", "numpy")


def test_a_module_loaded_from_outside_the_closure_is_named(shop: Any) -> None:
    def module(name: str) -> types.ModuleType:
        made = types.ModuleType(name)
        made.__file__ = str(shop.root / f"{name.replace('.', '/')}.py")
        return made

    loaded = {name: module(name) for name in ("shop.calendar", "shop.web")}
    assert loaded_outside_closure(shop.project, shop.resolve(), loaded) == ["shop.web"]


def test_a_task_of_ones_own_counts_as_the_code_that_it_is(tmp_path: Any) -> None:
    asked = RECIPE + 'evaluation: {suite: ["tasks:poem"]}\n'
    project = make_texts(tmp_path, asked)
    file = project.recipes()["small_lm"].parent / "tasks.py"
    file.write_text("def poem():\n    return 1\n")

    def counted() -> dict[str, str]:
        return dict(closure_of_recipe(project, load_recipe(project, "small_lm")).leaves)

    before = counted()
    file.write_text("def poem():\n    return 2\n")
    (change,) = compare(before, counted())
    assert change.leaf.endswith("defs/small_lm/tasks.py::poem")


def test_a_file_that_is_no_python_is_refused_with_its_line(shop: Any) -> None:
    shop.write("shop/calendar.py", "x = 1\ndef (:\n")
    with pytest.raises(ClosureError, match=r"shop/calendar\.py:2"):
        leaves(shop)
