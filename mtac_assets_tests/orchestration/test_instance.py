"""Dagster's home fits the environment, is written only where it must be, and keeps nothing outside the state."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import dagster as dg
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager

from mtac_assets.orchestration import instance as homes
from mtac_assets.orchestration.event_log import BatchingSqliteEventLogStorage
from mtac_assets.orchestration.jobs import TRAINING_POOL
from mtac_assets.spec.project import Project


def test_the_home_opens_both_ways_and_stays_as_it_is(project: Project) -> None:
    home = homes.prepare_dagster_home(project)
    stamps = {path.name: path.stat().st_mtime_ns for path in home.glob("*.yaml")}
    assert set(stamps) == {homes.SERVER_CONFIG, homes.COMMAND_LINE_CONFIG}
    assert homes.prepare_dagster_home(project) == home
    assert {path.name: path.stat().st_mtime_ns for path in home.glob("*.yaml")} == stamps

    with homes.instance(project) as opened:
        assert isinstance(opened.compute_log_manager, NoOpComputeLogManager)
        assert os.environ[homes.BATCH_SIZE_VARIABLE] == str(homes.BATCH_SIZE)
        pools = {pool.name: pool.limit for pool in opened.event_log_storage.get_pool_limits()}
        assert pools == {TRAINING_POOL: 1}
    assert homes.BATCH_SIZE_VARIABLE not in os.environ
    with dg.DagsterInstance.from_config(str(home)) as served:
        assert isinstance(served.event_log_storage, BatchingSqliteEventLogStorage)
        assert not isinstance(served.compute_log_manager, NoOpComputeLogManager)
        assert not served.telemetry_enabled
        assert served.run_monitoring_enabled
        assert served.run_monitoring_max_runtime_seconds == project.environment.limits.run_seconds
    written = set(project.root.rglob("*.db"))
    assert written
    assert all(path.is_relative_to(home) for path in written)


def test_a_changed_limit_reaches_the_home_and_the_pool(project: Project) -> None:
    with homes.instance(project):
        pass
    limits = project.environment.limits.model_copy(update={"concurrent_trainings": 3, "run_seconds": 77})
    changed = replace(project, environment=project.environment.model_copy(update={"limits": limits}))
    with homes.instance(changed) as opened:
        assert {pool.name: pool.limit for pool in opened.event_log_storage.get_pool_limits()} == {"training": 3}
        assert opened.run_monitoring_max_runtime_seconds == 77


def test_processes_that_open_a_new_home_at_once_all_can(project: Project) -> None:
    """The web server, the daemon and a `mtac run` beside them: Dagster's own making of tables is not safe for that."""
    code = (
        "from mtac_assets.orchestration import instance as homes\n"
        "from mtac_assets.spec.project import find_project\n"
        "with homes.instance(find_project()) as opened: opened.all_instigator_state(); opened.get_runs_count()"
    )
    together = [
        subprocess.Popen(
            [sys.executable, "-W", "error::UserWarning", "-c", code], cwd=project.root, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    for process in together:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
