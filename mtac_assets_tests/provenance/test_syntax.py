"""One file's digests: comments, formatting and docstrings change nothing; what runs does, and is named."""

from __future__ import annotations

import ast

from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.provenance.identity import compare
from mtac_assets.provenance.syntax import read_source

SOURCE = '''
"""A module."""
import os
from a.b import c as d

RATE = 0.5


def first(x, y=1):
    """Adds."""
    # why
    return x + y


@decorated
def second():
    import late.one

    return late.one


class Thing(Base):
    """A thing."""

    size: int = 3

    def grow(self):
        return self.size + 1
'''


def leaves(source: str) -> dict[str, str]:
    return read_source(source.encode(), "f.py").leaves


def changed(old: str, new: str) -> set[str]:
    assert old != new
    return {change.leaf for change in compare(leaves(old), leaves(new))}


def test_leaves_are_functions_methods_classes_and_the_rest() -> None:
    assert set(leaves(SOURCE)) == {"<module>", "first", "second", "Thing", "Thing.grow"}


def test_comments_formatting_and_docstrings_count_nothing() -> None:
    other = (
        SOURCE.replace("# why", "# because")
        .replace('"""Adds."""', "")
        .replace("x + y", "( x+y )")
        .replace("0.5", "5e-1")
    )
    other = other.replace('"""A module."""', "").replace('"""A thing."""', "'''Another.'''")
    assert changed(SOURCE, other) == set()


def test_a_change_is_named_by_its_function() -> None:
    assert changed(SOURCE, SOURCE.replace("x + y", "x - y")) == {"first"}
    assert changed(SOURCE, SOURCE.replace("self.size + 1", "self.size + 2")) == {"Thing.grow"}
    assert changed(SOURCE, SOURCE.replace("size: int = 3", "size: int = 4")) == {"Thing"}
    assert changed(SOURCE, SOURCE.replace("(Base)", "(Other)")) == {"Thing"}
    assert changed(SOURCE, SOURCE.replace("0.5", "0.6")) == {"<module>"}
    assert changed(SOURCE, SOURCE.replace("y=1", "y=True")) == {"first"}
    assert changed(SOURCE, SOURCE.replace("size: int", "size: float")) == {"Thing"}


def test_a_plain_function_may_move_and_one_whose_place_matters_may_not() -> None:
    plain = "def a():\n    return 1\n\n\nX = 2\n"
    assert changed(plain, "X = 2\n\n\ndef a():\n    return 1\n") == set()
    decorated = "@register\ndef a():\n    return 1\n\n\nX = 2\n"
    assert changed(decorated, "X = 2\n\n\n@register\ndef a():\n    return 1\n") == {"<module>"}
    rebound = "def a():\n    return 1\n\n\na = 2\n"
    assert changed(rebound, "a = 2\n\n\ndef a():\n    return 1\n") != set()


def test_the_second_of_two_functions_of_one_name_counts() -> None:
    twice = "def a():\n    return 1\n\n\ndef a():\n    return 2\n"
    assert changed(twice, twice.replace("return 2", "return 3")) != set()


def test_imports_are_found_wherever_they_are() -> None:
    source = """
from typing import TYPE_CHECKING
import importlib
if TYPE_CHECKING:
    import only.for_types
else:
    import otherwise
from . import near
from ..far import thing
def f():
    from deep.down import x
    importlib.import_module("dynamic.one")
    try:
        import maybe
    except ImportError:
        pass
"""
    found = set(read_source(source.encode(), "f.py").imports)
    assert {"otherwise", ".near", "..far.thing", "deep.down.x", "dynamic.one", "maybe"} <= found
    assert not {name for name in found if name.startswith("only")}


constants = st.one_of(st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False), st.text(), st.binary())


@given(constants, constants)
def test_two_constants_share_a_digest_only_if_they_are_the_same(one: object, other: object) -> None:
    same = leaves(f"def f():\n    return {one!r}\n") == leaves(f"def f():\n    return {other!r}\n")
    assert same == (ast.dump(ast.parse(repr(one))) == ast.dump(ast.parse(repr(other))))
