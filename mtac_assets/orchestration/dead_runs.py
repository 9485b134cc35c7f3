"""Runs whose process is gone: a run that `mtac run` began and that was killed would else stay STARTED for ever.

The daemon's launcher does not watch its workers either, so a run carries its writer in a tag, whoever started it, and a sensor looks.
What a person started is started again by Dagster's own run retries, and goes on from its checkpoint; triggers ask again themselves.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from mtac_assets.orchestration.triggers.tags import TRIGGER_TAG
from mtac_assets.spec import clock
from mtac_assets.tracking.writer import Writer

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

WRITER_TAG = ".dagster/mtac-writer"  # a tag that the UI does not show
SIGN_SECONDS = 60
WATCH_SECONDS = 30
UNFINISHED = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def sign(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> None:
    """Name this process as the one that executes the run: the launcher does not watch its workers, so a trigger has to."""
    if _writer(context.run) is None:
        context.instance.add_run_tags(context.run.run_id, signature(context.run.run_id))


def signature(run_id: str) -> dict[str, str]:
    """The tag that names this process as the one that executes the run. A run that is started again inherits the former one's
    tags, so it says of which run it is."""
    return {WRITER_TAG: json.dumps({"run_id": run_id, **Writer.myself().document()})}


def watch_dead_runs(project: Project) -> dg.SensorDefinition:
    """A sensor that closes dead runs, where the code server runs: only there can the processes be seen."""

    @dg.sensor(
        name="dead_runs",
        minimum_interval_seconds=WATCH_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose process is gone, so that they are started again.",
    )
    def dead_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        closed = close_dead_runs(project, context.instance)
        return dg.SkipReason(f"closed {', '.join(closed)}" if closed else "every run's process is there")

    return dead_runs


def sign_first(context: dg.AssetExecutionContext, project: Project) -> None:
    """As `sign`, in the first of several steps: under another executor the process of a step ends before its run does."""
    if project.environment.dagster.executor == "in_process":
        sign(context)


def close_dead_runs(project: Project, instance: dg.DagsterInstance) -> tuple[str, ...]:
    """Fail every unfinished run whose writer is gone, or that a trigger started and that should have been signed long ago; returns their ids."""
    limit = timedelta(seconds=project.environment.limits.run_seconds)
    closed: list[str] = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        run = record.dagster_run
        writer = _writer(run)
        if writer is not None:
            if writer.alive(record.create_timestamp, clock.now(), limit):
                continue
            words = f"process {writer.pid} on {writer.host}, which executed this run, is gone"
        elif _never_signed(project, record):
            words = f"it began, and no process signed it within {SIGN_SECONDS} s: its process is gone"
        else:
            continue
        instance.report_run_failed(run, words)
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        closed.append(run.run_id)
    return tuple(closed)


def _writer(run: dg.DagsterRun) -> Writer | None:
    """Who signed this run; None where nobody did yet, though the run that it repeats was signed."""
    document = json.loads(run.tags.get(WRITER_TAG, "{}"))
    signed = document.pop("run_id", run.run_id)  # runs of an older version do not say
    return Writer.from_document(document) if document and signed == run.run_id else None


def _never_signed(project: Project, record: dg.RunRecord) -> bool:
    """A run that a trigger started was killed after it began and before its first step signed it: within a second or two.

    First steps of such runs wait in no pool. Under another executor than the default no step can sign for its run, and only
    `limits.run_seconds` ends it.
    """
    run = record.dagster_run
    if TRIGGER_TAG not in run.tags or project.environment.dagster.executor != "in_process":
        return False
    if run.status != dg.DagsterRunStatus.STARTED:
        return False
    return record.start_time is not None and time.time() - record.start_time > SIGN_SECONDS
