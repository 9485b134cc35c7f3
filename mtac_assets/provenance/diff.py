"""The difference between two models: recipe, data, code, environment and metrics, read from their commits alone.

Belongs here: the differences as data. How a terminal or a page shows them is the faces' matter.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mtac_assets.provenance import refs
from mtac_assets.provenance.document import parse_object
from mtac_assets.provenance.git import MODELS, HasRoot, Repository, repository_of
from mtac_assets.provenance.identity import Change, compare
from mtac_assets.spec.mix_diff import MixChange, mix_changes

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class DataDifference:
    """One dataset: partitions that only one of the models used, and those whose content differs, with rows before and after."""

    dataset: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    rows_old: int
    rows_new: int


@dataclass(frozen=True)
class CodeDifference:
    """One file: the functions that differ (`added`, `removed`, `changed` by name), and its text as a unified diff.

    The text is empty where the file is not in the repository (an installed engine)."""

    file: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class ModelDifference:
    """What differs between models `old` and `new`. `metrics`: name to both values with their intervals.

    `mix`: what of `recipe` is the mix of texts, told source by source."""

    old: str
    new: str
    recipe: tuple[Change, ...]
    data: tuple[DataDifference, ...]
    code: tuple[CodeDifference, ...]
    environment: tuple[Change, ...]
    metrics: Mapping[str, Mapping[str, Any]]
    same_weights: bool
    mix: tuple[MixChange, ...] = ()

    def document(self) -> dict[str, Any]:
        """As `mtac diff --json` prints it."""
        return {
            "schema_version": SCHEMA_VERSION,
            "old": self.old,
            "new": self.new,
            "same_weights": self.same_weights,
            "recipe": [change.document() for change in self.recipe],
            "mix": [change.document() for change in self.mix],
            "data": [asdict(each) for each in self.data],
            "code": [asdict(each) for each in self.code],
            "environment": [change.document() for change in self.environment],
            "metrics": {name: dict(values) for name, values in self.metrics.items()},
        }


def diff_models(where: HasRoot, old: str, new: str) -> ModelDifference:
    """Compare two recorded models by their full IDs. Raises UnknownModelError, GitError."""
    repository = repository_of(where)
    one, other = (refs.find_model(repository, model_id) for model_id in (old, new))
    before, after = (_leaves(repository, summary) for summary in (one, other))
    changes = compare(before, after)
    names = sorted({*one.metrics, *other.metrics})
    return ModelDifference(
        old=old,
        new=new,
        recipe=_of_kind(changes, "recipe"),
        data=_data(repository, one, other, before, after),
        code=_code(repository, one, other, _of_kind(changes, "code")),
        environment=_of_kind(changes, "environment"),
        metrics={name: _metric(one.metrics.get(name), other.metrics.get(name)) for name in names},
        same_weights=one.weights_digest == other.weights_digest,
        mix=mix_changes(*(_mix(repository, summary) for summary in (one, other))),
    )


def _mix(repository: Repository, summary: refs.ModelSummary) -> Mapping[str, Any] | None:
    return (parse_object(refs.read_model_file(repository, summary.model_id, "recipe.json")) or {}).get("mix")


def _leaves(repository: Repository, summary: refs.ModelSummary) -> dict[str, str]:
    document = parse_object(refs.read_model_file(repository, summary.model_id, "declaration.json"))
    return (document or {}).get("leaves", {})


def _of_kind(changes: Iterable[Change], kind: str) -> tuple[Change, ...]:
    return tuple(change for change in changes if change.leaf.startswith((f"{kind}.", f"{kind}[")))


def _metric(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Any]:
    values = [None if each is None else each.get("value") for each in (old, new)]
    change = values[1] - values[0] if values[0] is not None and values[1] is not None else None
    return {"old": dict(old) if old else None, "new": dict(new) if new else None, "change": change}


def _data(
    repository: Repository,
    one: refs.ModelSummary,
    other: refs.ModelSummary,
    before: Mapping[str, str],
    after: Mapping[str, str],
) -> tuple[DataDifference, ...]:
    old, new = (_by_dataset(leaves) for leaves in (before, after))
    rows_old, rows_new = (_rows(repository, summary, keys) for summary, keys in ((one, old), (other, new)))
    found: list[DataDifference] = []
    for dataset in sorted({*old, *new}):
        first, second = old.get(dataset, {}), new.get(dataset, {})
        if first == second:
            continue
        found.append(
            DataDifference(
                dataset,
                added=tuple(sorted(second.keys() - first.keys())),
                removed=tuple(sorted(first.keys() - second.keys())),
                changed=tuple(sorted(key for key in first.keys() & second.keys() if first[key] != second[key])),
                rows_old=rows_old.get(dataset, 0),
                rows_new=rows_new.get(dataset, 0),
            )
        )
    return tuple(found)


def _by_dataset(leaves: Mapping[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for leaf, digest in leaves.items():
        if leaf.startswith("data."):
            dataset, _, key = leaf.removeprefix("data.").partition("/")
            found.setdefault(dataset, {})[key] = digest
    return found


def _rows(repository: Repository, summary: refs.ModelSummary, used: Mapping[str, Iterable[str]]) -> dict[str, int]:
    """Dataset to the rows of the partitions that the model learned from, by their manifests."""
    base = f"{MODELS}{summary.model_id}:{summary.folder}data/"
    names = {f"{base}{dataset}/{key}.json": dataset for dataset, keys in used.items() for key in keys}
    found: dict[str, int] = {}
    for name, content in repository.read(names).items():
        manifest = parse_object(content) if content is not None else None
        found[names[name]] = found.get(names[name], 0) + int((manifest or {}).get("rows", 0))
    return found


def _code(
    repository: Repository, one: refs.ModelSummary, other: refs.ModelSummary, changes: Iterable[Change]
) -> tuple[CodeDifference, ...]:
    by_file: dict[str, list[tuple[str, Change]]] = {}
    for change in changes:
        file, _, function = change.leaf.removeprefix("code.").partition("::")
        by_file.setdefault(file, []).append((function or file, change))
    return tuple(
        CodeDifference(
            file,
            added=tuple(name for name, change in found if change.old is None),
            removed=tuple(name for name, change in found if change.new is None),
            changed=tuple(name for name, change in found if change.old is not None and change.new is not None),
            text=_text(repository, one, other, file),
        )
        for file, found in sorted(by_file.items())
    )


def _text(repository: Repository, one: refs.ModelSummary, other: refs.ModelSummary, file: str) -> str:
    """The unified diff of one file between the two commits, wherever the project lay in each."""
    sides = [f"{MODELS}{side.model_id}:{side.folder.removesuffix('model/')}{file}" for side in (one, other)]
    content = repository.read(sides)
    lines = [(content[side] or b"").decode("utf-8", "replace").splitlines(keepends=True) for side in sides]
    return "".join(difflib.unified_diff(lines[0], lines[1], f"{one.model_id}/{file}", f"{other.model_id}/{file}"))
