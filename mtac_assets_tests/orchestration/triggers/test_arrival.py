"""Files that land become partitions, each state once: twice, out of order, half written, corrected, broken and mended."""

from __future__ import annotations

import json
import os
from datetime import date

import dagster as dg
import pytest

from mtac_assets.data.partitions import present
from mtac_assets.data.readers.state import SourceError
from mtac_assets.spec.errors import CheckFailed
from mtac_assets_tests.tides import write_day

SENSOR = "tides_arrival"
DAYS = [date(2024, 1, day) for day in range(1, 8)]


def ingested(daemon) -> list[str]:
    return sorted(present(daemon.project.state.data, "tides"))


def settled(daemon, sensor: str = SENSOR):
    """A tick long enough after everything was written."""
    daemon.later(seconds=6)
    return daemon.tick(sensor)


def test_a_clock_that_is_set_back_holds_no_file_up(daemon) -> None:
    write_day(daemon.project.root, date(2024, 1, 1))
    daemon.later(days=-1)  # now the file's time lies in the future too
    daemon.tick(SENSOR)
    daemon.later(hours=-3)
    assert "still being written" in daemon.tick(SENSOR).skip_message
    daemon.later(seconds=6)
    assert len(daemon.tick(SENSOR).run_requests) == 1


def spoil(daemon, day: date) -> None:
    """A whole file whose rows break the contract."""
    path = write_day(daemon.project.root, day, level_factor=100.0)
    later = daemon.moment.timestamp()
    os.utime(path, (later, later))


def mend(daemon, day: date, factor: float = 1.0) -> None:
    path = write_day(daemon.project.root, day, level_factor=factor)
    later = daemon.moment.timestamp()
    os.utime(path, (later, later))


def test_days_that_land_are_one_run_for_each_unbroken_range(daemon):
    assert "nothing new" in settled(daemon).skip_message
    for day in (DAYS[4], DAYS[0], DAYS[1]):  # out of order, with a gap
        write_day(daemon.project.root, day)
    found = settled(daemon)
    assert [request.run_key.rpartition(":")[0].split(":")[1] for request in found.run_requests] == [
        "2024-01-01..2024-01-02",
        "2024-01-05",
    ]
    assert daemon.run(found.run_requests) == [None, None]
    assert ingested(daemon) == ["2024-01-01", "2024-01-02", "2024-01-05"]
    tags = found.run_requests[0].tags
    assert tags["mtac/trigger"] == "arrival"
    assert json.loads(tags["mtac/evidence"])["partitions"] == 2
    write_day(daemon.project.root, DAYS[2])  # the late ones, between
    write_day(daemon.project.root, DAYS[3])
    assert daemon.run(settled(daemon).run_requests) == [None]
    assert ingested(daemon) == [day.isoformat() for day in DAYS[:5]]
    assert settled(daemon).run_requests == []


def test_a_daemon_that_dies_before_its_cursor_asks_for_the_same_runs(daemon, keys):
    write_day(daemon.project.root, DAYS[0])
    daemon.later(seconds=6)
    first = daemon.tick(SENSOR, keep_cursor=False)
    daemon.start_again()
    daemon.later(seconds=6)
    assert keys(daemon.tick(SENSOR, keep_cursor=False).run_requests) == keys(first.run_requests) != []
    # It died after the run was queued: another file that landed meanwhile does not make a second run of the first one.
    (request,) = first.run_requests
    job = daemon.repository.get_job(request.job_name)
    run = daemon.instance.create_run_for_job(job, tags={**job.run_tags, **request.tags})
    write_day(daemon.project.root, DAYS[1])
    daemon.start_again()
    daemon.later(seconds=6)
    again = daemon.tick(SENSOR, keep_cursor=False)
    assert [request.run_key.split(":")[1] for request in again.run_requests] == ["2024-01-02"]
    # The run itself was killed: no day is lost.
    daemon.instance.report_run_failed(run)
    assert daemon.run(again.run_requests) == [None]
    daemon.later(minutes=11)
    retried = daemon.tick(SENSOR)
    assert [request.run_key.split(":")[1::2] for request in retried.run_requests] == [["2024-01-01", "2"]]
    assert daemon.run(retried.run_requests) == [None]
    assert ingested(daemon) == ["2024-01-01", "2024-01-02"]


def test_a_file_still_being_written_waits(daemon):
    path = daemon.project.root / "incoming" / "tides-2024-01-01.csv"
    whole = write_day(daemon.project.root, DAYS[0]).read_bytes()
    path.write_bytes(whole[:500])
    now = daemon.moment.timestamp()
    os.utime(path, (now, now))
    assert "still being written: 2024-01-01" in daemon.tick(SENSOR).skip_message
    daemon.later(seconds=4)
    path.write_bytes(whole)
    now = daemon.moment.timestamp()
    os.utime(path, (now, now))
    daemon.later(seconds=4)
    assert "still being written" in daemon.tick(SENSOR).skip_message
    assert daemon.run(settled(daemon).run_requests) == [None]
    assert present(daemon.project.state.data, "tides")["2024-01-01"].rows == 120


def test_a_time_in_the_future_is_not_believed(daemon):
    path = write_day(daemon.project.root, DAYS[0])
    ahead = daemon.moment.timestamp() + 86_400
    os.utime(path, (ahead, ahead))
    assert "still being written" in daemon.tick(SENSOR).skip_message
    daemon.start_again()  # the cursor knows since when it looked so
    assert len(settled(daemon).run_requests) == 1


def test_the_same_content_again_is_no_new_version(daemon):
    write_day(daemon.project.root, DAYS[0])
    daemon.run(settled(daemon).run_requests)
    before = present(daemon.project.state.data, "tides")["2024-01-01"]
    mend(daemon, DAYS[0])
    assert daemon.run(settled(daemon).run_requests) == [None]
    assert present(daemon.project.state.data, "tides")["2024-01-01"] == before
    assert settled(daemon).run_requests == []


def test_a_corrected_file_replaces_its_day(daemon):
    write_day(daemon.project.root, DAYS[0])
    daemon.run(settled(daemon).run_requests)
    before = present(daemon.project.state.data, "tides")["2024-01-01"].content_digest
    mend(daemon, DAYS[0], factor=0.5)
    assert daemon.run(settled(daemon).run_requests) == [None]
    corrected = present(daemon.project.state.data, "tides")["2024-01-01"].content_digest
    assert corrected != before
    mend(daemon, DAYS[0], factor=1.0)  # and back again: a third version of the file, the first content
    assert daemon.run(settled(daemon).run_requests) == [None]
    assert present(daemon.project.state.data, "tides")["2024-01-01"].content_digest == before


def test_a_bad_file_holds_up_nothing_and_is_tried_again_only_when_it_changes(daemon):
    write_day(daemon.project.root, DAYS[0])
    spoil(daemon, DAYS[1])
    write_day(daemon.project.root, DAYS[2])
    (error,) = daemon.run(settled(daemon).run_requests)
    assert isinstance(error, CheckFailed)
    assert ingested(daemon) == ["2024-01-01", "2024-01-03"]
    assert "waiting: 2024-01-02" in settled(daemon).skip_message
    write_day(daemon.project.root, DAYS[3])
    assert daemon.run(settled(daemon).run_requests) == [None]
    daemon.later(minutes=10)
    second = settled(daemon)
    assert [request.run_key.split(":")[1::2] for request in second.run_requests] == [["2024-01-02", "2"]]
    daemon.run(second.run_requests)
    for _ in range(3):
        daemon.later(days=1)
        assert "refused until it changes: 2024-01-02" in daemon.tick(SENSOR).skip_message
    daemon.cursors.clear()  # the runs know it too
    assert "refused until it changes: 2024-01-02" in settled(daemon).skip_message
    mend(daemon, DAYS[1])
    assert daemon.run(settled(daemon).run_requests) == [None]
    assert ingested(daemon) == [day.isoformat() for day in DAYS[:4]]
    assert settled(daemon).run_requests == []


def landed_check(daemon) -> dg.AssetCheckEvaluation:
    key = dg.AssetCheckKey(dg.AssetKey(["tides"]), "landed")
    record = daemon.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    return record.event.dagster_event.asset_check_evaluation_data


def test_a_good_day_after_a_bad_one_does_not_hide_it(daemon):
    spoil(daemon, DAYS[0])
    daemon.run(settled(daemon).run_requests)
    assert not landed_check(daemon).passed
    write_day(daemon.project.root, DAYS[1])
    daemon.run(settled(daemon).run_requests)
    assert not landed_check(daemon).passed
    assert "2024-01-01" in landed_check(daemon).metadata["refused"].value
    mend(daemon, DAYS[0])
    daemon.run(settled(daemon).run_requests)
    assert landed_check(daemon).passed


def test_what_a_killed_run_wrote_and_did_not_tell_is_told(daemon):
    from mtac_assets.data.ingest import ingest

    write_day(daemon.project.root, DAYS[0])
    (request,) = settled(daemon).run_requests
    job = daemon.repository.get_job(request.job_name)
    run = daemon.instance.create_run_for_job(job, tags={**job.run_tags, **request.tags})
    ingest(daemon.project, "tides", ["2024-01-01"])  # and then it was killed
    assert settled(daemon).run_requests == []
    daemon.instance.report_run_failed(run)
    (again,) = settled(daemon).run_requests
    assert json.loads(again.tags["mtac/evidence"])["why"] == ["written by a run that did not end"]
    assert daemon.run([again]) == [None]
    assert daemon.instance.get_materialized_partitions(dg.AssetKey(["tides"])) == {"2024-01-01"}
    assert (daemon.project.state.data / "tides" / "2024-01-01.parquet.dvc").exists()
    assert settled(daemon).run_requests == []


def test_what_is_no_partition_is_named(daemon):
    folder = daemon.project.root / "incoming"
    (folder / "readme.txt").write_text("?")
    (folder / ".tides-2024-01-01.csv.part").write_text("?")
    said = settled(daemon).skip_message
    assert said == "not a partition's file: readme.txt"


def test_the_landing_folder_is_gone(daemon):
    (daemon.project.root / "incoming").rmdir()
    with pytest.raises(SourceError, match="cannot be listed"):
        settled(daemon)


def test_it_is_stopped_unless_the_dataset_says_active(daemon):
    sensor = daemon.repository.get_sensor_def(SENSOR)
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    path = daemon.project.datasets()["tides"]
    path.write_text(path.read_text().replace("arrival: {", "arrival: {active: true, "))
    daemon.start_again()
    assert daemon.repository.get_sensor_def(SENSOR).default_status == dg.DefaultSensorStatus.RUNNING


@pytest.mark.slow
def test_files_on_another_file_system_come_in_the_same(daemon) -> None:
    """Any fsspec path: here one in memory. A file there has no time of its own, so it settles from when it was first seen."""
    import fsspec

    system, folder = fsspec.filesystem("memory"), f"/landed-{daemon.project.package}"
    dataset = daemon.project.datasets()["tides"]
    dataset.write_text(dataset.read_text().replace("url: incoming", f"url: 'memory:/{folder}'"))
    daemon.start_again()
    try:
        system.pipe({f"{folder}/tides-{DAYS[0]}.csv": write_day(daemon.project.root, DAYS[0]).read_bytes()})
        assert "still being written" in daemon.tick(SENSOR).skip_message
        assert daemon.run(settled(daemon).run_requests) == [None]
        assert ingested(daemon) == [str(DAYS[0])]
        assert "nothing new" in settled(daemon).skip_message
        system.pipe(
            {f"{folder}/tides-{DAYS[0]}.csv": write_day(daemon.project.root, DAYS[0], level_factor=0.9).read_bytes()}
        )
        assert not daemon.tick(SENSOR).run_requests, "corrected just now"
        (again,) = settled(daemon).run_requests
        assert daemon.run([again]) == [None]
    finally:
        system.rm(folder, recursive=True)
