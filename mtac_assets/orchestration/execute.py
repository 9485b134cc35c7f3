"""One Dagster run in this process: created, executed, and its failure told as the finding beneath it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.utils import make_new_run_id

from mtac_assets.orchestration.dead_runs import signature
from mtac_assets.orchestration.errors import EXIT_CODE, FINDINGS, RunFailed
from mtac_assets.orchestration.repository import remote_origin
from mtac_assets.orchestration.triggers.tags import RETRIES_TAG
from mtac_assets.spec.errors import CheckFailed, Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

PARTITION_TAG = "dagster/partition"
RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class Done:
    """A run that succeeded: its id, and what it says of each asset."""

    run_id: str
    metadata: Mapping[str, Mapping[str, Any]]  # asset as "recipe/model", to the metadata of its newest event


def partition_tags(keys: Iterable[str], *, ranged: bool) -> dict[str, str]:
    """Run tags for one partition, or for the range from the first of `keys` to the last; none without keys."""
    ordered = sorted(keys)
    if not ordered:
        return {}
    if not ranged:
        (only,) = ordered
        return {PARTITION_TAG: only}
    return {RANGE_START_TAG: ordered[0], RANGE_END_TAG: ordered[-1]}


def execute(
    project: Project,
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    *,
    tags: Mapping[str, str],
    run_config: Mapping[str, Any],
    assets: Iterable[dg.AssetKey] | None = None,
) -> Done:
    """Run `job` (or only `assets` of it) to its end, here. Raises MtacError with the finding that made it fail."""
    selection = frozenset(assets) if assets is not None else None
    chosen = job.get_subset(asset_selection=selection) if selection is not None else job
    run_id = make_new_run_id()
    run = instance.create_run_for_job(
        job_def=chosen,
        run_id=run_id,
        run_config=run_config,
        tags={**job.run_tags, **tags, **signature(run_id), RETRIES_TAG: "0"},  # whoever called asks again
        remote_job_origin=remote_origin(project, job.name),
    )
    result = execute_run(InMemoryJob(chosen), run, instance)
    if not result.success:
        raise _failure(run.run_id, result)
    return Done(run.run_id, _metadata(result.all_events))


def _metadata(events: Iterable[dg.DagsterEvent]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.is_step_materialization and event.asset_key is not None:
            materialization = event.step_materialization_data.materialization
            values = {name: value.value for name, value in materialization.metadata.items()}
            found[event.asset_key.to_user_string()] = values
    return found


def _failure(run_id: str, result: Any) -> MtacError:
    """What to raise for a failed run: its findings where a step or a check left some, else what Dagster says of it."""
    for event in result.all_events:
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            stored = evaluation.metadata.get(FINDINGS)
            if stored is not None and not evaluation.passed:
                return CheckFailed(*(Finding(**document) for document in stored.value))
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            user = data.user_failure_data.metadata if data.user_failure_data is not None else {}
            if FINDINGS in user:
                kind = CheckFailed if user[EXIT_CODE].value == CheckFailed.exit_code else MtacError
                return kind(*(Finding(**document) for document in user[FINDINGS].value))
            cause = data.error.cause or data.error if data.error is not None else None
            said = cause.message.strip() if cause is not None else "it says nothing"
            return RunFailed(
                Finding(
                    f"{event.step_key} failed: {said}",
                    f"Dagster run {run_id}",
                    "a step that succeeds",
                    "`mtac up` shows the run with its log",
                )
            )
    return RunFailed(
        Finding("the run ended early", f"Dagster run {run_id}", "a run that succeeds", "`mtac up` shows the run")
    )
