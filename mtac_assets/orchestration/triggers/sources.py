"""What a recipe's datasets could deliver now: days that are there, days that would be read, days whose file is refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from mtac_assets.orchestration.triggers.arrival import refusals
from mtac_assets.provenance import partitions
from mtac_assets.spec import clock
from mtac_assets.spec.load import check_recipe, load_dataset, load_recipe
from mtac_assets.spec.shapes import datasets_of

if TYPE_CHECKING:
    import dagster as dg

    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

Refused = Mapping[str, Collection[str]]  # dataset to keys
NOT_NEWS = ("its source is gone", "its source cannot tell whether it changed")


@dataclass(frozen=True)
class Trainable:
    """The newest model that can be trained; None where there is none. `lacking` keeps newer dates from it: `<dataset>/<key>`."""

    resolved: ResolvedRecipe | None
    lacking: tuple[str, ...] = ()


def refused_sources(project: Project, instance: dg.DagsterInstance, resolved: ResolvedRecipe) -> dict[str, set[str]]:
    """By dataset the keys whose file, as it is, was tried by the arrival sensor and not taken."""
    found: dict[str, set[str]] = {}
    for name in datasets_of(resolved.recipe):
        found[name] = set(refusals(project, instance, load_dataset(project, name)))
    return found


def pending_sources(project: Project, resolved: ResolvedRecipe, refused: Refused) -> dict[str, tuple[str, ...]]:
    """By dataset the days of the model whose source is new or changed. A source that cannot tell is only read where nothing
    is there yet; a file that was refused, not at all."""
    from mtac_assets.data.ingest_pending import pending

    found: dict[str, tuple[str, ...]] = {}
    for name, keys in partitions.needed(project, resolved).everything.items():
        asked = [key for key in keys if key not in refused.get(name, ())]
        reasons = pending(project, load_dataset(project, name), asked)
        wanted = tuple(key for key in asked if reasons.get(key, NOT_NEWS[0]) not in NOT_NEWS)
        if wanted:
            found[name] = wanted
    return found


def newest_trainable(project: Project, recipe: str, refused: Refused) -> Trainable:
    """The latest as-of date whose days all are there or can be brought in; back from the latest that the calendar allows."""
    checked = check_recipe(project, recipe)
    window = checked.window
    if window is None:
        resolved = load_recipe(project, recipe)
        lacking = _lacking(project, resolved, refused)
        return Trainable(None if lacking else resolved, lacking)
    rows = load_dataset(project, checked.data.rows).partitions
    assert rows.kind == "daily", "spec refuses a window over rows without days"
    yesterday = clock.today() - timedelta(days=1)
    last = min(rows.end, yesterday) if rows.end is not None else yesterday
    as_of = last - timedelta(days=window.test_days - 1)
    first = rows.start + timedelta(days=window.train_days)
    newest_lacking: tuple[str, ...] = ()
    while as_of >= first:
        resolved = load_recipe(project, recipe, as_of=as_of)
        lacking = _lacking(project, resolved, refused)
        if not lacking:
            return Trainable(resolved, newest_lacking)
        newest_lacking = newest_lacking or lacking
        # Every date until the last lacking day is no longer among the test days lacks it as well.
        latest = max(date.fromisoformat(name.rpartition("/")[2]) for name in lacking)
        as_of = min(as_of, latest - timedelta(days=window.test_days - 1)) - timedelta(days=1)
    return Trainable(None, newest_lacking)


def _lacking(project: Project, resolved: ResolvedRecipe, refused: Refused) -> tuple[str, ...]:
    """What the model needs and neither is there nor could be ingested."""
    from mtac_assets.data.readers.state import source_state

    found: list[str] = []
    needed = partitions.needed(project, resolved).everything
    there = partitions.content_digests(project.state.data, needed, project.state.cache)
    for name, keys in needed.items():
        absent = [key for key in keys if f"{name}/{key}" not in there]
        if absent:
            source = source_state(load_dataset(project, name), absent, project.root)
            found += [f"{name}/{key}" for key in absent if key not in source or key in refused.get(name, ())]
    return tuple(found)
