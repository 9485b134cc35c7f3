"""Which feature partitions are there, under which key, and which would have to be computed again, and why.

Belongs here: what the plan asks. It reads small JSON documents and file states, and imports no dataframe library.
The key itself is `provenance.keys`: what a feature partition depends on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance import keys
from mtac_assets.provenance.digest import digest_json, sha256_file
from mtac_assets.provenance.document import known_object

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class FeatureManifest:
    """The document beside a feature partition: the key it was computed under, what it holds, and the inputs it looked at."""

    recipe: str
    day: str
    key: str
    content_digest: str
    file_sha256: str
    file_size: int
    rows: int
    labelled: int
    columns: tuple[tuple[str, str], ...]
    inputs: Mapping[str, str]
    features_digest: str

    def document(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "recipe": self.recipe,
            "day": self.day,
            "key": self.key,
            "content_digest": self.content_digest,
            "file_sha256": self.file_sha256,
            "file_size": self.file_size,
            "rows": self.rows,
            "labelled": self.labelled,
            "columns": [{"name": name, "type": kind} for name, kind in self.columns],
            "inputs": dict(self.inputs),
            "features_digest": self.features_digest,
        }

    @classmethod
    def read(cls, path: Path) -> FeatureManifest | None:
        """The document at `path`; None where there is none, or one of another version: then the day is computed again."""
        document = known_object(path)
        if document is None or document.get("schema_version") != SCHEMA_VERSION:
            return None
        try:
            columns = tuple((column["name"], column["type"]) for column in document["columns"])
            return cls(
                columns=columns, **{name: document[name] for name in cls.__dataclass_fields__ if name != "columns"}
            )
        except (KeyError, TypeError):
            return None


def feature_path(project: Project, recipe: str, day: str) -> Path:
    return project.state.features / recipe / f"{day}.parquet"


def manifest_path(project: Project, recipe: str, day: str) -> Path:
    return project.state.features / recipe / f"{day}.json"


def features_digest(resolved: ResolvedRecipe) -> str:
    """Digest of the recipe's own words on features: what tells a changed recipe from changed code."""
    identity = resolved.identity_document()
    return digest_json({"data": identity["data"], "features": identity["features"]})


def stale_keys(
    project: Project, resolved: ResolvedRecipe, days: Iterable[str], data_dir: Path | None = None
) -> dict[str, tuple[str, ...]]:
    """Day to the leaves that make its features stale, for those of `days` that would have to be computed.

    Leaves are `data.<dataset>/<key>` (another content), `recipe.features`, `code`, and `features.missing` or `features.damaged`
    for the partition itself. A day whose data is missing names the missing partitions.
    """
    days = tuple(days)
    wanted = keys.feature_keys(project, resolved, days, data_dir)
    found: dict[str, tuple[str, ...]] = {}
    for day, inputs in keys.day_inputs(project, resolved, days, data_dir).items():
        kept = FeatureManifest.read(manifest_path(project, resolved.name, day))
        if kept is None:
            found[day] = ("features.missing",)
        elif kept.key != wanted.get(day):
            changed = [
                f"data.{name}" for name in sorted({*inputs, *kept.inputs}) if inputs.get(name) != kept.inputs.get(name)
            ]
            if kept.features_digest != features_digest(resolved):
                changed.append("recipe.features")
            found[day] = tuple(changed) or ("code",)
        elif not intact(feature_path(project, resolved.name, day), kept):
            found[day] = ("features.damaged",)
    return found


def intact(path: Path, manifest: FeatureManifest) -> bool:
    """Are the partition's bytes those that its document vouches for?"""
    return path.is_file() and path.stat().st_size == manifest.file_size and sha256_file(path) == manifest.file_sha256
