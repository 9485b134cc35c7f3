"""Old runs go with their events, logs and folders; what Dagster's view of the data rests on stays, and so do models."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from mtac_assets.orchestration import retention
from mtac_assets.orchestration.instance import instance
from mtac_assets.spec import clock
from mtac_assets.spec.environment import Retention
from mtac_assets.spec.project import Project

PARTITIONS = dg.StaticPartitionsDefinition(["monday", "tuesday"])
LATER = timedelta(days=40)


@dg.asset(partitions_def=PARTITIONS)
def gauge(context: dg.AssetExecutionContext) -> None:
    if context.run.tags.get("fail"):
        raise ValueError("told to")


@pytest.fixture
def kept(project: Project) -> Project:
    wanted = Retention(finished_days=30, failed_days=50)
    return replace(project, environment=project.environment.model_copy(update={"retention": wanted}))


@pytest.fixture
def opened(kept: Project) -> Iterator[dg.DagsterInstance]:
    with instance(kept) as found:
        yield found


@pytest.fixture
def in_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(clock.CLOCK_VARIABLE, f"+{LATER.total_seconds():.0f}")


def run(opened: dg.DagsterInstance, day: str, **tags: str) -> str:
    return dg.materialize([gauge], instance=opened, partition_key=day, tags=tags, raise_on_error=False).run_id


def seen(opened: dg.DagsterInstance) -> set[str]:
    return {record.dagster_run.run_id for record in opened.get_run_records()}


@pytest.mark.usefixtures("in_days")
def test_what_is_old_goes_and_what_is_newest_of_a_partition_stays(kept: Project, opened: dg.DagsterInstance) -> None:
    first, second, other = run(opened, "monday"), run(opened, "monday"), run(opened, "tuesday")
    failed = run(opened, "monday", fail="yes")
    folder = kept.state.runs / first
    folder.mkdir(parents=True)
    (folder / "left").write_bytes(b"12345")
    found = retention.outdated(kept, opened)
    assert (found.runs, found.kept, found.folders) == ((first,), 2, (folder,)), "failed ones have ten more days"
    assert seen(opened) == {first, second, other, failed}, "to look changes nothing"
    retention.clear(kept, opened, found)
    assert seen(opened) == {second, other, failed}
    told = opened.fetch_materializations(dg.AssetKey("gauge"), limit=10).records
    assert {record.run_id for record in told} == {second, other}
    assert not folder.exists()
    assert not list((kept.state.dagster / "history" / "runs").glob(f"{first}*"))
    assert opened.get_materialized_partitions(dg.AssetKey("gauge")) == {"monday", "tuesday"}
    assert retention.outdated(kept, opened).runs == ()


def test_what_is_young_stays(kept: Project, opened: dg.DagsterInstance) -> None:
    run(opened, "monday")
    run(opened, "monday")
    assert retention.outdated(kept, opened) == retention.Outdated((), (), 0, 0)


def test_leftovers_and_replays_go_when_nobody_has_touched_them_for_as_long_as_anything_is_kept(
    kept: Project, opened: dg.DagsterInstance
) -> None:
    now = datetime.now(UTC)
    old = now - timedelta(days=51)
    made: dict[str, Path] = {}
    for name, moment in {
        "replays/floods-a": old,
        "replays/floods-b": now,
        "replays/library/floods-0": old,
        "runs/rooms/floods-1": old,
        "runs/logs": old,
        "models/floods-1": old,
        "reports/floods-1": old,
    }.items():
        made[name] = kept.state.root / name
        made[name].mkdir(parents=True)
        (made[name] / "file").write_bytes(b"x")
        for path in (made[name] / "file", made[name]):
            os.utime(path, (moment.timestamp(), moment.timestamp()))
    found = retention.outdated(kept, opened)
    assert {path.relative_to(kept.state.root).as_posix() for path in found.folders} == {
        "replays/floods-a",
        "replays/library/floods-0",
        "runs/rooms/floods-1",
    }
    retention.clear(kept, opened, found)
    assert {name for name, path in made.items() if path.is_dir()} == {
        "replays/floods-b",
        "runs/logs",
        "models/floods-1",
        "reports/floods-1",
    }


@pytest.mark.usefixtures("in_days")
def test_without_a_policy_nothing_goes_and_with_one_the_job_does_it(project: Project, kept: Project) -> None:
    assert retention.clean_up(project) is None
    cleaning = retention.clean_up(kept)
    assert cleaning is not None
    job, schedule = cleaning
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    with instance(kept) as opened:
        first, second = run(opened, "monday"), run(opened, "monday")
        assert retention.outdated(project, opened).runs == ()
        assert job.execute_in_process(instance=opened).success
        assert first not in seen(opened)
        assert second in seen(opened)
