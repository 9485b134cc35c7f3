"""Which days are live for a model: those after all that it learned from and was judged on; and in which windows they are watched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from mtac_assets.monitoring.errors import MonitoringError
from mtac_assets.spec.errors import Finding, raise_all

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe


@dataclass(frozen=True)
class Span:
    """A window of days, both ends in it. `there`: those of its days that were handed in; `closed`: its last day has come."""

    first: str
    last: str
    days: int
    there: tuple[str, ...]
    closed: bool


def first_live_day(resolved: ResolvedRecipe) -> date:
    """The day after the model's last test day. MonitoringError for a recipe without time."""
    if resolved.as_of is None or resolved.fields["window"] is None:
        raise MonitoringError(
            Finding(
                f"{resolved.name} has no window",
                "the recipe",
                "a recipe with days",
                "only such models are watched live",
            )
        )
    return resolved.as_of + timedelta(days=resolved.fields["window"]["test_days"])


def first_day_to_come(project: Project, model_id: str) -> str | None:
    """From which day on live rows tell of the model's future: after its test days and after every day that is there now.

    None for a recipe without time. Raises MonitoringError where its pack is not here.
    """
    from mtac_assets.data.partitions import present
    from mtac_assets.monitoring.scorer import open_model

    resolved = open_model(project, model_id).resolved
    if resolved.as_of is None or resolved.fields["window"] is None:
        return None
    there = present(project.state.data, resolved.fields["data"]["rows"], project.state.cache)
    newest = (date.fromisoformat(max(there)) + timedelta(days=1)).isoformat() if there else ""
    return max(first_live_day(resolved).isoformat(), newest)


def live_days(resolved: ResolvedRecipe, keys: Iterable[str]) -> tuple[str, ...]:
    """Those of `keys` that are live for the model, in order."""
    first = first_live_day(resolved).isoformat()
    return tuple(sorted({key for key in keys if key >= first}))


def require_live(resolved: ResolvedRecipe, model_id: str, keys: Sequence[str]) -> None:
    """MonitoringError where one of `keys` is a day of the model's own test, or one that it learned from."""
    first = first_live_day(resolved).isoformat()
    early = sorted(key for key in keys if key < first)
    if early:
        raise MonitoringError(
            Finding(
                f"{len(early)} days are not live for {model_id}, the first is {early[0]}",
                model_id,
                f"days from {first} on, after those it learned from and was tested on",
                "leave them out (live_days gives the others)",
            )
        )


def require_not_learned(resolved: ResolvedRecipe, model_id: str, keys: Sequence[str]) -> None:
    """MonitoringError where the model learned from (or was validated on) one of `keys`."""
    assert resolved.as_of is not None
    known = sorted(key for key in keys if key < resolved.as_of.isoformat())
    raise_all(
        MonitoringError,
        [
            Finding(
                f"{model_id} may have learned from {len(known)} of the days, the first is {known[0]}",
                model_id,
                f"days from its as-of date {resolved.as_of} on",
                "compare on later days",
            )
        ]
        if known
        else [],
    )


def windows(begin: date, keys: Sequence[str], window_days: int) -> tuple[Span, ...]:
    """The windows from `begin` on that reach up to the last of `keys`, one after the other; the last may still be open.

    They are counted from `begin` and not from the last day, so that a window stays what it is while days and labels arrive.
    Windows that end before the first of `keys` are none of this watch.
    """
    if not keys:
        return ()
    oldest, newest = min(keys), date.fromisoformat(max(keys))
    found: list[Span] = []
    for n in range((newest - begin).days // window_days + 1):
        first = begin + timedelta(days=n * window_days)
        last = first + timedelta(days=window_days - 1)
        if last.isoformat() < oldest:
            continue
        there = tuple(sorted(key for key in set(keys) if first.isoformat() <= key <= last.isoformat()))
        found.append(Span(first.isoformat(), last.isoformat(), window_days, there, last <= newest))
    return tuple(found)
