"""Rules between fields of one document: what they are made of. The rules themselves stand in `recipe_checks`,
`dataset_checks` and `environment_checks`, each small and pure; those that look at other files in `references`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mtac_assets.spec.spelling import closest
from mtac_assets.spec.yaml import FieldPath, dotted


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule between fields that does not hold, at the field that is best changed."""

    path: FieldPath
    error: str
    expected: str
    remedy: str


Rule = Callable[..., Iterator[Problem]]


@dataclass(frozen=True, slots=True)
class Check:
    """A rule over the sections (top-level fields) that it names; it gets them in that order, each sound by itself."""

    sections: tuple[str, ...]
    run: Rule


def rule(registry: list[Check], *sections: str) -> Callable[[Rule], Rule]:
    """Decorator that puts a rule over `sections` into `registry`."""

    def register(run: Rule) -> Rule:
        registry.append(Check(sections, run))
        return run

    return register


def repeated(path: FieldPath, names: Sequence[str]) -> Iterator[Problem]:
    """Names that stand in a list more than once."""
    counts = Counter(names)
    for position, name in enumerate(names):
        if counts[name] > 1 and name in names[:position]:
            error = f"`{name}` stands in `{dotted(path)}` more than once"
            yield Problem((*path, position), error, "each name once", "remove one of the two")


def unknown(path: FieldPath, name: str, known: Sequence[str], source: str) -> Problem:
    guess = closest(name, known)
    expected = f"one of {source}: {', '.join(known) or 'none'}"
    return Problem(
        path, f"`{name}` is not in {source}", expected, f"write `{guess}`" if guess else f"add it to {source}"
    )
