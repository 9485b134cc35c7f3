"""Runs whose process is gone: a run that `mtac run` began and that was killed would else stay STARTED for ever.

The daemon's launcher does not watch its workers either, so a run carries its writer in a tag, whoever started it.
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
UNFINISHED = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def sign(context: dg.OpExecutionContext | dg.AssetExecutionContext) -> None:
    """Name this process as the one that executes the run: the launcher does not watch its workers, so a trigger has to."""
    if WRITER_TAG not in context.run.tags:
        context.instance.add_run_tags(context.run.run_id, {WRITER_TAG: json.dumps(Writer.myself().document())})


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
        if WRITER_TAG in run.tags:
            writer = Writer.from_document(json.loads(run.tags[WRITER_TAG]))
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
