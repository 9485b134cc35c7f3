"""The training set: the exact rows a model learns from, as memory-mapped arrays under the key of their features, with one digest.

Belongs here: building it, and finding one that was built before. Which rows are meant is `training_set_split`, how a row becomes
numbers `training_set_schema`, how arrays are written `training_set_arrays`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mtac_assets.data.features_check import LABEL
from mtac_assets.data.features_plan import FeatureManifest, manifest_path
from mtac_assets.data.training_set_arrays import ARRAYS, SplitWriter, array_path
from mtac_assets.data.training_set_schema import FeatureSchema, encode
from mtac_assets.data.training_set_split import LoadedSplit, Part, PartReader, day_numbers, load_split, open_parts
from mtac_assets.provenance import keys as derived
from mtac_assets.provenance import partitions
from mtac_assets.provenance.digest import digest_json, sha256_file
from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.files import FileState, publish_folder, temporary_path, write_json
from mtac_assets.provenance.memory import Memory
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

__all__ = [
    "FeatureSchema",
    "LoadedSplit",
    "TrainingSet",
    "TrainingSetError",
    "build",
    "encode",
    "find",
    "find_built",
    "load_split",
]

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
LEARNED_FROM: tuple[Part, ...] = ("train", "validate")
KEY_DIGITS = 12


class TrainingSetError(MtacError):
    """No model can learn from these rows."""


@dataclass(frozen=True)
class TrainingSet:
    """A published folder and its manifest; docs/architecture.md lists the arrays."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def digest(self) -> str:
        return self.manifest["digest"]

    @cached_property
    def schema(self) -> FeatureSchema:
        return FeatureSchema.from_manifest(self.manifest)

    def array(self, split: str, name: str) -> np.ndarray:
        """One of `training_set_arrays.ARRAYS` of a split, memory-mapped and read-only."""
        return np.load(array_path(self.folder, split, name), mmap_mode="r")


def build(project: Project, resolved: ResolvedRecipe, data_dir: Path | None = None) -> TrainingSet:
    """The training set of `resolved`: an intact one with the same key, or a new one, built from up-to-date features.

    Raises FeatureError where data is missing, Unstamped where it did not pass its contract, TrainingSetError where a split has
    no labelled rows or the train split one class only.
    """
    if resolved.is_language:
        return _build_tokens(project, resolved, data_dir)
    windows = resolved.windows()
    days = tuple(dict.fromkeys((*windows.train, *windows.validate)))
    reader = open_parts(project, resolved, days, data_dir)
    key = derived.training_set_key(project, resolved, reader.feature_keys)
    assert key is not None, "open_parts has computed every day's features"
    return _built(project, key, lambda folder: _write(folder, reader, key, days))


def find_built(project: Project, resolved: ResolvedRecipe) -> TrainingSet | None:
    """The intact training set of a recipe of texts, as its code and data stand; None where it is not built."""
    key = derived.language_keys(project, resolved).training_set
    return find(project.state.training_sets / key[:KEY_DIGITS], key, project.state.cache) if key is not None else None


def _build_tokens(project: Project, resolved: ResolvedRecipe, data_dir: Path | None) -> TrainingSet:
    """The same for a recipe of texts."""
    from mtac_assets.data.mix.build import build_into

    folder = data_dir or project.state.data
    keys = derived.language_keys(project, resolved, data_dir)
    key = keys.training_set
    if key is None:
        missing = [name for name in partitions.needed(project, resolved).training if name not in keys.scores]
        finding = Finding(
            f"no texts of {', '.join(missing)}", str(folder), "every dataset of the mix", f"mtac run {resolved.name}"
        )
        raise TrainingSetError(finding)
    return _built(project, key, lambda temporary: build_into(temporary, project, resolved, keys, folder))


def _built(project: Project, key: str, write: Callable[[Path], dict[str, Any]]) -> TrainingSet:
    """The intact training set with this key, or the one that `write` makes in a new folder, published at once."""
    final = project.state.training_sets / key[:KEY_DIGITS]
    found = find(final, key, project.state.cache)
    if found is not None:
        return found
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(final)
    temporary.mkdir()
    try:
        manifest = write(temporary)
        publish_folder(temporary, final)
    except OSError:
        other = find(final, key, None)  # a second process may have published the same set meanwhile
        if other is None:
            raise
        return other
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return TrainingSet(final, manifest)


def find(folder: Path, key: str, cache: Path | None) -> TrainingSet | None:
    """The training set in `folder` if it has this key and every file is intact.

    With a `cache` folder, files that were digested before and have the same size, inode and time are not digested again.
    """
    manifest = read_object(folder / MANIFEST)
    if manifest is None or manifest.get("schema_version") != SCHEMA_VERSION or manifest.get("key") != key:
        return None
    files: dict[str, dict[str, Any]] = manifest["files"]
    paths = [folder / MANIFEST, *(folder / name for name in sorted(files))]
    if not all(path.is_file() for path in paths):
        return None
    states = [FileState.of(path) for path in paths]
    memory = Memory(cache / "training_sets.json" if cache is not None else None)
    if memory.get(key, *states) is None:
        for name, entry in files.items():
            if (folder / name).stat().st_size != entry["size"] or sha256_file(folder / name) != entry["sha256"]:
                return None
        memory.put(key, *states, value=True)
        memory.save()
    return TrainingSet(folder, manifest)


def _write(folder: Path, reader: PartReader, key: str, days: tuple[str, ...]) -> dict[str, Any]:
    counts, vocabularies = _survey(reader)
    features = reader.resolved.recipe.features
    schema = FeatureSchema(features.numeric, features.categorical, vocabularies)
    widths = {"numeric": len(schema.numeric), "categorical": len(schema.categorical)}
    splits: dict[str, dict[str, Any]] = {}
    for part in LEARNED_FROM:
        with SplitWriter(folder, part, counts[part]["rows"], widths) as writer:
            for rows in reader.stream(part):
                numeric, categorical = encode(rows.table, schema)
                label, day = rows.table[LABEL].to_numpy(), day_numbers(rows.table)
                arrays = {"numeric": numeric, "categorical": categorical, "label": label, "day": day}
                writer.append(arrays, rows.row_hashes)
            splits[part] = {**counts[part], "days": list(reader.days(part)), "digest": writer.finish()}
    document = {
        **schema.document(),
        "schema_version": SCHEMA_VERSION,
        "recipe": reader.resolved.name,
        "key": key,
        "splits": splits,
        "inputs": _inputs(reader, days),
        "files": {
            path.name: {"size": path.stat().st_size, "sha256": sha256_file(path)}
            for path in (array_path(folder, part, name) for part in LEARNED_FROM for name in ARRAYS)
        },
    }
    document["digest"] = digest_json(
        {**schema.document(), "splits": {part: [splits[part]["rows"], splits[part]["digest"]] for part in LEARNED_FROM}}
    )
    write_json(folder / MANIFEST, document)
    return document


def _survey(reader: PartReader) -> tuple[dict[Part, dict[str, int]], tuple[tuple[str, ...], ...]]:
    """Rows of each split, and the values of each category in the train split, sorted. Reads every partition once."""
    names = reader.resolved.recipe.features.categorical
    words: dict[str, set[str]] = {name: set() for name in names}
    counts: dict[Part, dict[str, int]] = {}
    for part in LEARNED_FROM:
        rows = positives = excluded = 0
        for partition in reader.stream(part, names):
            rows += partition.table.num_rows
            positives += int(partition.table[LABEL].to_numpy().sum())
            excluded += partition.excluded_unlabelled
            if part == "train":
                for name in names:
                    column = partition.table[name]
                    distinct = column.cast(column.type.value_type).unique().to_pylist()
                    words[name].update(word for word in distinct if word is not None)
        counts[part] = {"rows": rows, "positives": positives, "excluded_unlabelled": excluded}
    _refuse_unlearnable(reader, counts)
    return counts, tuple(tuple(sorted(words[name])) for name in names)


def _refuse_unlearnable(reader: PartReader, counts: Mapping[Part, Mapping[str, int]]) -> None:
    for part, count in counts.items():
        rows, positives = count["rows"], count["positives"]
        if rows == 0 or (part == "train" and positives in (0, rows)):
            error = (
                "has no labelled rows"
                if rows == 0
                else f"has {rows} rows, {positives} of them positive: one class only"
            )
            raise TrainingSetError(
                Finding(
                    f"the {part} split {error} ({count['excluded_unlabelled']} rows without label were set aside)",
                    f"{reader.resolved.name}: {', '.join(reader.days(part)[:3])} …",
                    "labelled rows in both splits, and both classes to learn from",
                    "widen the window or the split, or correct features.label",
                )
            )


def _inputs(reader: PartReader, days: tuple[str, ...]) -> dict[str, Any]:
    """What the set was made from: each day's feature key and content, and every data partition that was looked at."""
    features: dict[str, Any] = {}
    for day in days:
        manifest = FeatureManifest.read(manifest_path(reader.project, reader.resolved.name, day))
        assert manifest is not None, f"the features of {day} were read a moment ago"
        features[day] = {"key": manifest.key, "content_digest": manifest.content_digest}
    data = derived.day_inputs(reader.project, reader.resolved, days, reader.data_dir)
    return {
        "features": features,
        "data": dict(sorted({name: digest for day in data.values() for name, digest in day.items()}.items())),
    }
