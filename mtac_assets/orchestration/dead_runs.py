"""Runs whose process is gone: a run that `mtac run` began and that was killed would else stay STARTED for ever.

The daemon watches the runs that it launched itself; those of the command line carry their writer in a tag.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from mtac_assets.spec import clock
from mtac_assets.tracking.writer import Writer

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

WRITER_TAG = ".dagster/mtac-writer"  # a tag that the UI does not show
UNFINISHED = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def close_dead_runs(project: Project, instance: dg.DagsterInstance) -> tuple[str, ...]:
    """Fail every unfinished run of the command line whose process is gone; returns their ids."""
    limit = timedelta(seconds=project.environment.limits.run_seconds)
    closed: list[str] = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED)):
        run = record.dagster_run
        if WRITER_TAG not in run.tags:
            continue
        writer = Writer.from_document(json.loads(run.tags[WRITER_TAG]))
        if not writer.alive(record.create_timestamp, clock.now(), limit):
            instance.report_run_failed(run, f"process {writer.pid} on {writer.host}, which executed this run, is gone")
            closed.append(run.run_id)
    return tuple(closed)
