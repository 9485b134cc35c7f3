"""What was tried before, from Dagster's run records, and whether to try again: nothing here is kept anywhere else.

So a daemon that is killed, or a cursor that is lost, forgets no attempt and no budget.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from mtac_assets.orchestration.dead_runs import close_dead_runs
from mtac_assets.orchestration.triggers.tags import REQUESTED_TAG, WORK_TAG
from mtac_assets.spec import clock

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

REMEMBERED = 1000  # newest runs of one trigger that are looked at
LONGEST_WAIT = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run that a trigger started. `work`: key to digest of what it was to be made from."""

    run_id: str
    finished: bool
    succeeded: bool
    requested: datetime
    ended: datetime
    tags: Mapping[str, str]
    work: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Patience:
    """How often one thing may fail, and how long to wait after the first failure; the wait doubles with each more."""

    attempts: int
    first: timedelta

    def wait(self, failures: int) -> timedelta:
        """How long to wait after so many failures in a row."""
        if failures == 0:
            return timedelta()
        return min(self.first * 2 ** min(failures - 1, 30), LONGEST_WAIT)


@dataclass(frozen=True, slots=True)
class Go:
    """Try now, for the `attempt`-th time (from 1)."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Do not try now. `refused`: the last attempt failed, so what is there cannot be relied upon; `final`: not until it changes."""

    reason: str
    refused: bool = False
    final: bool = False


_finished: dict[
    str, Attempt
] = {}  # by run id: a run that has ended changes no more, and reading a thousand takes a second


def attempts(project: Project, instance: dg.DagsterInstance, job: str, tags: Mapping[str, str]) -> tuple[Attempt, ...]:
    """Runs of `job` with these tags, newest first. Runs whose process is gone are failed first."""
    wanted = instance.get_run_ids(dg.RunsFilter(job_name=job, tags=dict(tags)), limit=REMEMBERED)
    unknown = [run_id for run_id in wanted if run_id not in _finished]
    found = _read(instance, unknown)
    if any(not each.finished for each in found.values()) and close_dead_runs(project, instance):
        found = _read(instance, unknown)
    _finished.update((run_id, each) for run_id, each in found.items() if each.finished)
    # A run that was deleted between the two questions is no longer an attempt.
    known = (found.get(run_id) or _finished.get(run_id) for run_id in wanted)
    return tuple(each for each in known if each is not None)


def _read(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> dict[str, Attempt]:
    if not run_ids:
        return {}
    records = instance.get_run_records(dg.RunsFilter(run_ids=list(run_ids)))
    return {record.dagster_run.run_id: _attempt(record) for record in records}


def standing(
    history: Sequence[Attempt], key: str, digest: str, patience: Patience, now: datetime | None = None
) -> Go | Hold:
    """Whether to make `key` from what `digest` names. Only asked while it is not made yet."""
    moment = now or clock.now()
    running = next((each for each in history if key in each.work and not each.finished), None)
    if running is not None:
        return Hold(f"run {running.run_id[:8]} is at it")
    tried = [each for each in history if each.work.get(key) == digest]
    if not tried:
        return Go(1)
    failures = sum(not each.succeeded for each in tried)
    if failures >= patience.attempts:
        return Hold(f"{_times(failures)} without success; tried again when it changes", refused=True, final=True)
    # After a success that did not last there is a wait as well: whatever is wrong, nothing spins.
    until = tried[0].ended + patience.wait(max(failures, 1))
    if moment < until:
        return Hold(f"{_times(len(tried))}; next attempt at {until:%Y-%m-%d %H:%M:%S} UTC", refused=failures > 0)
    return Go(len(tried) + 1)


def failures_in_a_row(history: Iterable[Attempt]) -> int:
    """Finished attempts since the last success, newest first."""
    count = 0
    for each in history:
        if each.finished:
            if each.succeeded:
                break
            count += 1
    return count


def _times(count: int) -> str:
    return "tried once" if count == 1 else f"tried {count} times"


def _attempt(record: dg.RunRecord) -> Attempt:
    run = record.dagster_run
    created = record.create_timestamp.astimezone(UTC)
    requested = datetime.fromisoformat(run.tags[REQUESTED_TAG]) if REQUESTED_TAG in run.tags else created
    # Dagster's times are the machine's; a run's length is the same on every clock.
    length = (record.end_time or created.timestamp()) - created.timestamp()
    return Attempt(
        run_id=run.run_id,
        finished=run.is_finished,
        succeeded=run.status == dg.DagsterRunStatus.SUCCESS,
        requested=requested,
        ended=requested + timedelta(seconds=max(length, 0.0)),
        tags=run.tags,
        work=json.loads(run.tags.get(WORK_TAG, "{}")),
    )
