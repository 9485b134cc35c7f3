"""What runs leave behind, and for how long it stays: run records with their events and logs, run folders, replays.

Belongs here: finding what the environment's `retention` lets go (`outdated`), letting it go (`clear`), and the schedule that does so each
day. Models, their objects and the ledger are never its matter (`provenance.gc`). A run that holds the newest materialisation of any
partition stays however old it is: Dagster's view of what there is rests on it.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mtac_assets.orchestration.jobs import executor
from mtac_assets.promotion.clean_room import ROOMS
from mtac_assets.spec import clock

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

SUCCEEDED = [dg.DagsterRunStatus.SUCCESS]
FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
JOB, SCHEDULE = "clean_up", "clean_up_daily"
CRON = "30 1 * * *"
LOGS = "logs"
LIBRARY = "library"
CHUNK = 500


@dataclass(frozen=True)
class Outdated:
    """What would go: `runs`, their ids; `folders` of runs and replays; `kept`: old runs that Dagster's view rests on."""

    runs: tuple[str, ...]
    folders: tuple[Path, ...]
    kept: int
    bytes: int


def outdated(project: "Project", instance: dg.DagsterInstance) -> Outdated:
    """What is older than the environment's retention. Nothing where it says null. Changes nothing."""
    retention, now = project.environment.retention, clock.now()
    found: list[str] = []
    for statuses, days in ((SUCCEEDED, retention.finished_days), (FAILED, retention.failed_days)):
        if days is not None:
            before = dg.RunsFilter(statuses=statuses, updated_before=now - timedelta(days=days))
            found += instance.get_run_ids(before)
    needed = _holding_newest(instance) if found else set[str]()
    runs = tuple(run_id for run_id in found if run_id not in needed)
    folders = tuple(sorted({*_folders_of(project, instance, runs), *_old_folders(project, instance, now)}))
    return Outdated(runs, folders, len(found) - len(runs), sum(_size(folder) for folder in folders))


def clear(project: "Project", instance: dg.DagsterInstance, found: Outdated) -> None:
    """Let go of it: each run's record first, so that nothing shows a run whose events are gone. Again where it was cut off."""
    for run_id in found.runs:
        instance.delete_run(run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        # The embedded event log keeps a database a run; emptied, it would still take 100 kB.
        for path in (project.state.dagster / "history" / "runs").glob(f"{run_id}.db*"):
            path.unlink()
    for folder in found.folders:
        shutil.rmtree(folder, ignore_errors=True)  # a run that ends meanwhile removes its own


def clean_up(project: "Project") -> tuple[dg.JobDefinition, dg.ScheduleDefinition] | None:
    """The job and its schedule; None where the environment keeps all."""
    retention = project.environment.retention
    if retention.finished_days is None and retention.failed_days is None:
        return None

    @dg.op(name=f"{JOB}_runs")
    def remove(context: dg.OpExecutionContext) -> None:
        found = outdated(project, context.instance)
        clear(project, context.instance, found)
        context.log.info(
            f"{len(found.runs)} runs and {len(found.folders)} folders went, {found.kept} old runs are needed"
        )

    @dg.job(
        name=JOB,
        description="Remove runs, logs and folders that are older than the environment's retention.",
        executor_def=executor(project),
    )
    def job() -> None:
        remove()

    schedule = dg.ScheduleDefinition(
        name=SCHEDULE, job=job, cron_schedule=CRON, default_status=dg.DefaultScheduleStatus.RUNNING
    )
    return job, schedule


def _holding_newest(instance: dg.DagsterInstance) -> set[str]:
    """Runs that hold the newest materialisation of an asset, or of one of its partitions."""
    storage, kind = instance.event_log_storage, dg.DagsterEventType.ASSET_MATERIALIZATION
    runs: set[str] = set()
    for record in instance.get_asset_records():
        key, last = record.asset_entry.asset_key, record.asset_entry.last_materialization
        if last is not None:
            runs.add(last.run_id)
        ids = sorted(storage.get_latest_storage_id_by_partition(key, kind).values())
        for start in range(0, len(ids), CHUNK):
            wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids[start : start + CHUNK])
            runs.update(found.run_id for found in instance.fetch_materializations(wanted, limit=CHUNK).records)
    return runs


def _folders_of(project: "Project", instance: dg.DagsterInstance, runs: tuple[str, ...]) -> Iterator[Path]:
    """What runs that go have in the state: their own folder, and captured logs."""
    for run_id in runs:
        for folder in (project.state.runs / run_id, project.state.dagster / "storage" / run_id):
            if folder.is_dir():
                yield folder


def _old_folders(project: "Project", instance: dg.DagsterInstance, now: datetime) -> Iterator[Path]:
    """Left by what was killed, and replays that nobody has gone on with: untouched for longer than anything is kept."""
    retention = project.environment.retention
    if retention.finished_days is None or retention.failed_days is None:
        return
    oldest = (now - timedelta(days=max(retention.finished_days, retention.failed_days))).timestamp()
    for parent in (
        project.state.runs,
        project.state.runs / ROOMS,
        project.state.replays,
        project.state.replays / LIBRARY,
    ):
        for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
            if folder.name in (LOGS, ROOMS, LIBRARY) or not folder.is_dir():
                continue
            if _newest(folder) < oldest and not _unfinished(instance, folder.name):
                yield folder


def _unfinished(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and not run.is_finished


def _newest(folder: Path) -> float:
    """When anything in it was last written. Links are hard links of published files, which are older than they are here."""
    return max((path.stat().st_mtime for path in (folder, *folder.rglob("*")) if path.exists()), default=0.0)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
