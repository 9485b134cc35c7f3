"""A recipe's feature view, ready to be called: its two functions, and what the datasets say a row may know.

Belongs here: loading the view from the recipe's folder. Calling it for a day is `features_day`, checking its answer `features_check`.

A view is `view(rows, past, lookups) -> pandas.DataFrame`: `rows` are one day's rows without the columns that are known only
afterwards, `past` is a `point_in_time.Past`, `lookups` a mapping of dataset name to `point_in_time.Lookup`. It returns the recipe's
numeric, categorical and slice columns with the index of `rows`. Its module says for each lookup when a record is known:
`KNOWN_AFTER = {"nyc_weather": timedelta(hours=1)}`, counted from the record's event time.

A label is `label(rows) -> pandas.Series`: 0, 1, or null where the outcome is not known; it alone sees all columns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from mtac_assets.data.source_module import load_source
from mtac_assets.provenance.digest import sha256_file
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    import pandas as pd

    from mtac_assets.data.point_in_time import Lookup, Past
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

View = Callable[["pd.DataFrame", "Past", Mapping[str, "Lookup"]], "pd.DataFrame"]
Label = Callable[["pd.DataFrame"], "pd.Series"]

DECLARATION = "KNOWN_AFTER"


class FeatureError(MtacError):
    """Features cannot be computed: the view, its answer, or the data it needs is at fault."""


@dataclass(frozen=True)
class LookupDefinition:
    """A dataset joined point-in-time: its moment column, and how long after it a record becomes known."""

    name: str
    event_time: str
    known_after: timedelta


@dataclass(frozen=True)
class FeatureDefinition:
    """All that decides a day's features besides its data. `history_days` 0 and `event_time` None: a recipe without time."""

    recipe: str
    rows: str
    view: View
    label: Label
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    slices: tuple[str, ...]
    key: tuple[str, ...]
    event_time: str | None
    outcome_columns: tuple[str, ...]
    history_days: int
    lookups: tuple[LookupDefinition, ...] = ()


def load_definition(project: Project, resolved: ResolvedRecipe) -> FeatureDefinition:
    """The definition of `resolved`'s features, its functions loaded from the recipe's folder. Raises FeatureError."""
    from mtac_assets.spec.load import load_dataset

    recipe = resolved.recipe
    rows = load_dataset(project, recipe.data.rows)
    view = load_function(resolved.folder, recipe.features.view, "features.view")
    return FeatureDefinition(
        recipe=recipe.name,
        rows=rows.name,
        view=view,
        label=load_function(resolved.folder, recipe.features.label, "features.label"),
        numeric=recipe.features.numeric,
        categorical=recipe.features.categorical,
        slices=recipe.features.slices,
        key=rows.key,
        event_time=rows.event_time,
        outcome_columns=rows.outcome_columns,
        history_days=recipe.window.history_days if recipe.window is not None else 0,
        lookups=tuple(_lookup(project, resolved, name, view) for name in recipe.data.lookups),
    )


def _lookup(project: Project, resolved: ResolvedRecipe, name: str, view: View) -> LookupDefinition:
    from mtac_assets.spec.load import load_dataset

    dataset = load_dataset(project, name)
    module = resolved.recipe.features.view.partition(":")[0]
    declared = getattr(sys.modules[view.__module__], DECLARATION, {})
    known_after = declared.get(name) if isinstance(declared, Mapping) else None
    if dataset.event_time is None or not isinstance(known_after, timedelta) or known_after < timedelta(0):
        raise FeatureError(
            Finding(
                f"nothing says when a record of {name} is known",
                f"{resolved.folder_name}/{module}.py",
                f'an event_time in the dataset, and {DECLARATION} = {{"{name}": timedelta(...)}} of zero or more in the module',
                "state how long after its event time a record can be had; round up where it varies",
            )
        )
    return LookupDefinition(name, dataset.event_time, known_after)


_loaded: dict[Path, tuple[str, ModuleType]] = {}


def load_function(folder: Path, reference: str, field: str) -> Callable:
    """`module:function` of a recipe's folder. A file that changed since it was loaded in this process is loaded again."""
    name, _, function = reference.partition(":")
    path = folder.joinpath(*name.split(".")).with_suffix(".py").resolve()
    if not path.is_file():
        raise FeatureError(
            Finding(f"there is no {path.name}", field, f"a file in {folder.name}/", "correct the name in recipe.yaml")
        )
    digest = sha256_file(path)
    known = _loaded.get(path)
    if known is None or known[0] != digest:
        known = _loaded[path] = digest, load_source(path, f"{folder.name}.{name}")
    found = getattr(known[1], function, None)
    if not callable(found):
        raise FeatureError(
            Finding(
                f"{path.name} defines no function {function}",
                field,
                "a function at the module's top level",
                "correct the name",
            )
        )
    return found
