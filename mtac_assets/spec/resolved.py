"""A recipe with everything decided: defaults filled in, overrides applied, as-of date fixed; and the days it uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.spec.errors import Finding, SpecError

if TYPE_CHECKING:
    from mtac_assets.spec.language import LanguageRecipe
    from mtac_assets.spec.recipe import Recipe

SCHEMA_VERSION = 1
ALL = "all"  # the partition key of a dataset without time

# Fields of the document that stand beside the recipe's own.
DECIDED = ("as_of", "history_start", "overrides", "folder")

# Fields of the document that decide no weight.
NOT_IDENTITY = ("gates", "triggers", "description", "owner", "size", "overrides", "folder")


@dataclass(frozen=True, slots=True)
class Windows:
    """Partition keys, in order. Of a recipe without time every part is taken from the one partition, by the recipe's split."""

    history: tuple[str, ...]
    train: tuple[str, ...]
    validate: tuple[str, ...]
    test: tuple[str, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """Keys for which feature rows are needed, each once."""
        return tuple(dict.fromkeys((*self.train, *self.validate, *self.test)))

    @property
    def all(self) -> tuple[str, ...]:
        """Keys of which data is needed, each once."""
        return tuple(dict.fromkeys((*self.history, *self.features)))


@dataclass(frozen=True)
class ResolvedRecipe:
    """A recipe, the as-of date, and what was overridden. `history_start` is the first day features may look back on:
    where a dataset begins later than the recipe's history_days reach, its first day."""

    fields: Mapping[str, Any]  # the recipe as plain JSON values, valid and in full
    as_of: date | None
    folder: Path
    folder_name: str  # the folder relative to the project, as documents carry it
    overrides: tuple[str, ...] = ()
    history_start: date | None = None

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        as_of: date | None,
        folder: Path,
        folder_name: str,
        overrides: tuple[str, ...],
        history_start: date | None,
    ) -> ResolvedRecipe:
        """From a recipe that was validated."""
        resolved = cls(recipe.model_dump(mode="json"), as_of, folder, folder_name, overrides, history_start)
        resolved.__dict__["recipe"] = recipe  # what the property below would make of the fields again
        return resolved

    @classmethod
    def from_document(cls, document: Mapping[str, Any], root: Path) -> ResolvedRecipe:
        """From what `document` made of a valid one, without a check: for documents of our own only."""
        fields = {key: value for key, value in document.items() if key not in DECIDED}
        dates = [None if document[key] is None else date.fromisoformat(document[key]) for key in DECIDED[:2]]
        name: str = document["folder"]
        return cls(fields, dates[0], root / name, name, tuple(document["overrides"]), dates[1])

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe, typed, of either shape. Imports pydantic, so what must be quick reads `fields`."""
        from mtac_assets.spec.shapes import recipe_model

        return recipe_model(self.fields).model_validate_json(json.dumps(self.fields))

    @property
    def is_language(self) -> bool:
        """Is it a recipe of texts?"""
        return "mix" in self.fields

    @property
    def language(self) -> LanguageRecipe:
        """The recipe of texts, typed. Raises SpecError for a recipe of rows."""
        from mtac_assets.spec.language import LanguageRecipe

        recipe = self.recipe
        if not isinstance(recipe, LanguageRecipe):
            finding = Finding(
                f"`{self.name}` learns from rows", self.folder_name, "a recipe with a `mix`", "name another"
            )
            raise SpecError(finding)
        return recipe

    @property
    def name(self) -> str:
        return self.fields["name"]

    @property
    def rows(self) -> str:
        """The dataset of which each row is one example. Raises SpecError for a recipe of texts."""
        if self.is_language:
            finding = Finding(f"`{self.name}` learns from texts", self.folder_name, "a recipe of rows", "name another")
            raise SpecError(finding)
        return self.fields["data"]["rows"]

    def document(self) -> dict[str, Any]:
        """Plain JSON values, no path of this machine; `load_resolved` reads it back to an equal recipe."""
        return {
            **self.fields,
            "as_of": _iso(self.as_of),
            "history_start": _iso(self.history_start),
            "overrides": list(self.overrides),
            "folder": self.folder_name,
        }

    def identity_document(self) -> dict[str, Any]:
        """What decides the weights: the document without `NOT_IDENTITY`."""
        return {key: value for key, value in self.document().items() if key not in NOT_IDENTITY}

    def windows(self) -> Windows:
        """The partitions each part is taken from."""
        window: Mapping[str, int] | None = self.fields.get("window")
        if window is None or self.as_of is None:
            return Windows((), (ALL,), (ALL,), (ALL,))
        first = self.as_of - timedelta(days=window["train_days"])
        validate = self.as_of - timedelta(days=window["validate_days"])
        assert self.history_start is not None, "a recipe with a window is resolved with its history"
        return Windows(
            history=_days(self.history_start, first),
            train=_days(first, validate),
            validate=_days(validate, self.as_of),
            test=_days(self.as_of, self.as_of + timedelta(days=window["test_days"])),
        )


@lru_cache(maxsize=16)
def _days(first: date, end: date) -> tuple[str, ...]:
    return tuple((first + timedelta(days=n)).isoformat() for n in range((end - first).days))


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
