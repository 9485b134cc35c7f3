"""What differs between two resolved documents, field by field. Pure: documents in, differences out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

# Fields by which entries of a list are told apart, in this order: metric gates have no `name`, but column and metric.
_NAMING = (("name",), ("column", "metric"), ("metric",))


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands for a field that one of the documents does not have; null is a value."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class Difference:
    """One leaf: its dotted path, and its value in each document or ABSENT."""

    path: str
    old: Any
    new: Any


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Every leaf that differs, in the order of the documents. Numbers differ by type too: 1 and 1.0 are not the same.

    Lists of named maps (gates) are compared by name, so that an entry put in front changes no other; lists of plain
    values count as one value.
    """
    return list(_compare("", dict(old), dict(new)))


def _compare(path: str, old: Any, new: Any) -> list[Difference]:
    old_map, new_map = _as_map(old), _as_map(new)
    if old_map is None or new_map is None:
        return [] if _same(old, new) else [Difference(path, old, new)]
    found: list[Difference] = []
    for key in dict.fromkeys((*old_map, *new_map)):
        inner = f"{path}.{key}" if path else key
        a, b = old_map.get(key, ABSENT), new_map.get(key, ABSENT)
        found += (
            _leaves(inner, b, new=True)
            if a is ABSENT
            else _leaves(inner, a, new=False)
            if b is ABSENT
            else _compare(inner, a, b)
        )
    if not found and not _same(old, new):
        return [Difference(path, old, new)]  # the same entries in another order, or another kind of emptiness
    return found


def _leaves(path: str, value: Any, new: bool) -> list[Difference]:
    """A value that only one document has, leaf by leaf."""
    inner = _as_map(value)
    if not inner:
        return [Difference(path, ABSENT, value) if new else Difference(path, value, ABSENT)]
    return [leaf for key, item in inner.items() for leaf in _leaves(f"{path}.{key}", item, new)]


def _as_map(value: Any) -> dict[str, Any] | None:
    """A map, or a list of named maps as a map of them by name; None for a leaf."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in cast("Mapping[Any, Any]", value).items()}
    if not isinstance(value, Sequence) or isinstance(value, str):
        return None
    entries = cast("Sequence[Any]", value)
    if not all(isinstance(entry, Mapping) for entry in entries):
        return None
    for fields in _NAMING:
        if all(all(isinstance(entry.get(field), str) for field in fields) for entry in entries):
            named = {"/".join(entry[field] for field in fields): entry for entry in entries}
            if len(named) == len(entries):
                return named
    return None


def _same(old: Any, new: Any) -> bool:
    """Equal as JSON is: by type, and in order."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        a, b = cast("Mapping[Any, Any]", old), cast("Mapping[Any, Any]", new)
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        c, d = cast("Sequence[Any]", old), cast("Sequence[Any]", new)
        return len(c) == len(d) and all(_same(x, y) for x, y in zip(c, d, strict=True))
    kinds: tuple[type, type] = (type(cast("object", old)), type(cast("object", new)))
    return kinds[0] is kinds[1] and old == new
