"""Identity of a model: everything that decides its weights, declared before training, as flat leaves with one digest over them.

Belongs here: the leaves, the fingerprint, the Model ID, and the comparison of two sets of leaves. Where each kind of leaf comes
from is another module's matter (`closure`, `environment`, `partitions`). docs/identity.md says what it is and what it is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mtac_assets.provenance.digest import canonical_json, digest_json
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.provenance.partitions import Known
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

SCHEMA_VERSION = 1
MODEL_ID_DIGITS = 12
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


class UndeclarableError(MtacError):
    """An input that the fingerprint needs is not there yet, so the model has no identity."""


@dataclass(frozen=True, slots=True)
class Change:
    """One leaf that differs. `old` None: it is new; `new` None: it is gone."""

    leaf: str
    old: str | None
    new: str | None

    def document(self) -> dict[str, str | None]:
        return {"leaf": self.leaf, "old": self.old, "new": self.new}


@dataclass(frozen=True)
class Declaration:
    """What decides the weights of one model.

    `recipe`: the resolved recipe without gates and triggers. `code`: leaf name (`<file>::<function>`) to digest.
    `data`: `<dataset>/<key>` to content digest. `environment`: field to value.
    """

    recipe: Mapping[str, Any]
    code: Mapping[str, str]
    data: Mapping[str, str]
    environment: Mapping[str, str]

    def leaves(self) -> dict[str, str]:
        """All of it, flat and sorted, each name with its kind before it. Recipe values are canonical JSON."""
        found = dict(flatten("recipe", self.recipe))
        for kind, part in (("code", self.code), ("data", self.data), ("environment", self.environment)):
            found.update({f"{kind}.{name}": value for name, value in part.items()})
        return dict(sorted(found.items()))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the canonical JSON of the leaves."""
        return fingerprint_of(self.leaves())

    def model_id(self, recipe_name: str) -> str:
        return f"{recipe_name}-{self.fingerprint[:MODEL_ID_DIGITS]}"

    def document(self) -> dict[str, Any]:
        """What `declaration.json` of a pack holds."""
        return {"schema_version": SCHEMA_VERSION, "fingerprint": self.fingerprint, "leaves": self.leaves()}


def declare(
    project: Project,
    resolved: ResolvedRecipe,
    data_dir: Path | None = None,
    *,
    known: Known | None = None,
) -> Declaration:
    """Put together what decides the weights of `resolved`, from the project's code, data and environment as they are now.

    `data_dir` holds the partitions' manifests (default: the project's state; a model's commit has them under `model/data`).
    `known`: what is needed and what of it is there, where the caller has read it already.
    Raises UndeclarableError, naming every partition that is missing.
    """
    from mtac_assets.provenance import closure, distributions, environment, partitions

    folder = data_dir or project.state.data
    if known is None:
        needed = partitions.needed(project, resolved)
        cache = None if data_dir else project.state.cache
        known = partitions.Known(needed, partitions.content_digests(folder, needed.training, cache))
    digests = known.digests
    names = [f"{dataset}/{key}" for dataset, keys in known.needed.training.items() for key in keys]
    missing = [name for name in names if name not in digests]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise UndeclarableError(
            Finding(
                f"{len(missing)} partitions that the training window needs are not ingested: {shown}",
                str(folder),
                "a manifest for each of them",
                f"mtac run {resolved.name} ingests what is missing",
            )
        )
    code = closure.closure_of_recipe(project, resolved)
    installed = distributions.versions(
        code.external, project.state.cache / "distributions.json", exclude=[project.package]
    )
    return Declaration(
        recipe=resolved.identity_document(),
        code={name.removeprefix("code."): digest for name, digest in code.leaves.items()},
        data={name: digests[name] for name in names},
        environment=environment.declared(project, resolved, installed),
    )


def fingerprint_of(leaves: Mapping[str, str]) -> str:
    """The fingerprint of stored leaves: what a reader recomputes to see that a declaration was not edited."""
    return digest_json({"schema_version": SCHEMA_VERSION, "leaves": dict(leaves)})


def compare(old_leaves: Mapping[str, str], new_leaves: Mapping[str, str]) -> list[Change]:
    """Every leaf that differs, sorted by name."""
    names = sorted(old_leaves.keys() | new_leaves.keys())
    return [
        Change(name, old_leaves.get(name), new_leaves.get(name))
        for name in names
        if old_leaves.get(name) != new_leaves.get(name)
    ]


def flatten(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    """Leaves of a JSON value: objects and lists of objects are entered, everything else is one leaf of canonical JSON.

    Keys that are not plain words are written as JSON strings in brackets, so that no two different values share their leaves.
    """
    if isinstance(value, Mapping) and value:
        for key, child in value.items():  # pyright: ignore[reportUnknownVariableType]
            name = str(key)  # pyright: ignore[reportUnknownArgumentType]
            step = f".{name}" if _PLAIN_KEY.fullmatch(name) else f"[{canonical_json(name).decode()}]"
            yield from flatten(prefix + step, child)
    elif isinstance(value, list) and _holds_objects(items := cast("list[Any]", value)):
        for position, child in enumerate(items):
            yield from flatten(f"{prefix}[{position}]", child)
    else:
        yield prefix, canonical_json(value).decode()


def _holds_objects(items: list[Any]) -> bool:
    return any(isinstance(item, Mapping) for item in items)
