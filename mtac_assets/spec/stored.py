"""Resolved recipes as stored documents: the JSON that `ResolvedRecipe.document` made, back in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field

from mtac_assets.spec.errors import Finding, SpecError, raise_all
from mtac_assets.spec.fields import Day, Spec
from mtac_assets.spec.language import LanguageRecipe
from mtac_assets.spec.project import Project, find_project
from mtac_assets.spec.recipe import Recipe
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.spec.shapes import checks_of, is_language, of_other_shape, recipe_model
from mtac_assets.spec.validate import validate
from mtac_assets.spec.yaml import FieldPath, dotted

MAX_BYTES = 1024 * 1024


class Decided(Spec):
    """What was decided with a recipe."""

    as_of: Day | None = Field(description="The as-of date; null for a recipe without time.")
    history_start: Day | None = Field(description="First day that features may look back on.")
    overrides: tuple[str, ...] = Field(description="Overrides, in order.")
    folder: str = Field(description="The recipe's folder, relative to the project.")


class StoredRecipe(Recipe, Decided):
    """A recipe of rows and what was decided with it."""


class StoredLanguageRecipe(LanguageRecipe, Decided):
    """A recipe of texts and what was decided with it."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """JSON data of one file. Nobody edits it by hand, so a field's place is its name."""

    data: Any
    name: str

    def where(self, path: FieldPath) -> str:
        return f"{self.name} ({dotted(path)})" if path else self.name


def read_resolved(path: Path, project: Project | None = None) -> ResolvedRecipe:
    """What `load.load_resolved` says."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        finding = Finding(
            f"cannot be read: {error.strerror or error}", str(path), "a resolved recipe", "check the path"
        )
        raise SpecError(finding) from None
    root = (project or find_project()).root
    return parse_resolved(content, str(path), root)


def parse_resolved(content: bytes, name: str, root: Path) -> ResolvedRecipe:
    """The same from bytes, for example of a Git blob."""
    document = StoredDocument(_parse(content, name), name)
    model = StoredLanguageRecipe if is_language(document.data) else StoredRecipe
    validated = validate(model, document, checks_of(model))
    raise_all(SpecError, of_other_shape(document, validated.findings))
    stored = validated.model
    assert stored is not None
    raise_all(SpecError, _dates(stored, document))
    shape = recipe_model(document.data)
    recipe = shape.model_construct(**{field: getattr(stored, field) for field in shape.model_fields})
    folder = root / stored.folder
    return ResolvedRecipe.of(recipe, stored.as_of, folder, stored.folder, stored.overrides, stored.history_start)


def _dates(stored: StoredRecipe | StoredLanguageRecipe, document: StoredDocument) -> list[Finding]:
    findings: list[Finding] = []
    needed = stored.window is not None
    for field in ("as_of", "history_start"):
        value: date | None = getattr(stored, field)
        if needed != (value is not None):
            expected = "a date" if needed else "null: the recipe has no window"
            findings.append(Finding(f"`{field}` is {value}", document.where((field,)), expected, "resolve it again"))
    folder = PurePosixPath(stored.folder)
    if folder.is_absolute() or ".." in folder.parts:
        expected = "a folder in the project"
        findings.append(
            Finding(f"`{folder}` leaves the project", document.where(("folder",)), expected, "resolve it again")
        )
    return findings


def _parse(content: bytes, name: str) -> Any:
    if len(content) > MAX_BYTES:
        raise SpecError(Finding("larger than 1 MiB", name, "a resolved recipe", "resolve it again"))
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise SpecError(Finding(f"not JSON: {error}", name, "a resolved recipe", "resolve it again")) from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one map")
    return result


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a finite number")
