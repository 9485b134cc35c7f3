"""From partitions that are to be made to run requests: unbroken ranges, each with a key that names exactly this attempt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration.execute import partition_tags
from mtac_assets.orchestration.jobs import RECIPE_TAG
from mtac_assets.orchestration.line import unbroken
from mtac_assets.orchestration.triggers.attempts import Attempt, Go, Hold, Patience, attempts, standing
from mtac_assets.orchestration.triggers.tags import TRIGGER_TAG, WORK_TAG, request_tags
from mtac_assets.provenance.digest import digest_json

if TYPE_CHECKING:
    from datetime import datetime

    from mtac_assets.orchestration.place import RecipePlace

LARGEST_RUN = 400  # partitions a run; each later attempt takes fewer, so that one poisonous file drags no others along
SECOND_RUN = 20
NAMED = 5  # keys named in a tick's message


@dataclass(frozen=True)
class Work:
    """Partitions of one job: what may be made now, in runs, and why the others must wait."""

    requests: tuple[dg.RunRequest, ...]
    held: Mapping[str, Hold]


def requested(
    what: str,
    job: str,
    wanted: Mapping[str, str],
    history: Sequence[Attempt],
    patience: Patience,
    *,
    trigger: str,
    evidence: Callable[[Sequence[str]], Mapping[str, Any]],
    tags: Mapping[str, str],
    partitioned: bool,
    run_config: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> Work:
    """Runs of `job` that make each key of `wanted` from what its digest names; asked twice, the same runs with the same keys."""
    held: dict[str, Hold] = {}
    by_attempt: dict[int, list[str]] = {}
    for key, digest in sorted(wanted.items()):
        found = standing(history, key, digest, patience, now)
        if isinstance(found, Go):
            by_attempt.setdefault(found.attempt, []).append(key)
        else:
            held[key] = found
    requests: list[dg.RunRequest] = []
    for attempt, keys in sorted(by_attempt.items()):
        for group in _groups(keys, attempt):
            work = {key: wanted[key] for key in group}
            span = group[0] if len(group) == 1 else f"{group[0]}..{group[-1]}"
            requests.append(
                dg.RunRequest(
                    run_key=f"{what}:{span}:{digest_json(work)[:12]}:{attempt}",
                    job_name=job,
                    run_config=dict(run_config or {}),
                    tags={
                        **tags,
                        **request_tags(trigger, evidence=evidence(group), reason=f"{span}, attempt {attempt}"),
                        **(partition_tags(group, ranged=True) if partitioned else {}),
                        WORK_TAG: json.dumps(work, separators=(",", ":")),
                    },
                )
            )
    return Work(tuple(requests), held)


def recipe_work(
    place: RecipePlace,
    instance: dg.DagsterInstance,
    what: str,
    job: str,
    wanted: Mapping[str, str],
    *,
    trigger: str,
    partitioned: bool,
) -> Work:
    """As `requested`, of a recipe: its backoff decides how often, its own runs of `job` say what was tried."""
    if not wanted:
        return Work((), {})
    name, backoff = place.name, place.recipe.triggers.backoff

    def evidence(keys: Sequence[str]) -> dict[str, Any]:
        return {"recipe": name, "partitions": len(keys), "first": keys[0], "last": keys[-1]}

    return requested(
        f"{name}/{what}",
        job,
        wanted,
        attempts(place.project, instance, job, {TRIGGER_TAG: trigger}),
        Patience(backoff.attempts, timedelta(minutes=backoff.first_minutes)),
        trigger=trigger,
        evidence=evidence,
        tags={RECIPE_TAG: name},
        partitioned=partitioned,
    )


def held_words(what: str, work: Work) -> str:
    """Why some of it waits, for a tick's message."""
    return "; ".join(f"{what} of {key}: {hold.reason}" for key, hold in list(work.held.items())[:NAMED])


def _groups(keys: Sequence[str], attempt: int) -> Iterator[tuple[str, ...]]:
    largest = {1: LARGEST_RUN, 2: SECOND_RUN}.get(attempt, 1)
    for group in unbroken(keys):
        for start in range(0, len(group), largest):
            yield group[start : start + largest]
