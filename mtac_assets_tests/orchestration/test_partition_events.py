"""Each day of a range run has its own event, and what lies downstream in the same run goes on: with the pinned Dagster."""

from pathlib import Path

import dagster as dg
import pytest

from mtac_assets.orchestration.instance import BATCH_SIZE_VARIABLE
from mtac_assets.orchestration.partition_events import DATA_VERSION_TAG, Materialized, report, reported_output

DAYS = dg.DailyPartitionsDefinition("2024-01-01", end_date="2024-01-11")
STORAGE = {"module": "mtac_assets.orchestration.event_log", "class": "BatchingSqliteEventLogStorage"}


@dg.asset(
    partitions_def=DAYS,
    dagster_type=dg.Nothing,
    backfill_policy=dg.BackfillPolicy.single_run(),
    check_specs=[dg.AssetCheckSpec("contract", asset="readings", blocking=True)],
)
def readings(context: dg.AssetExecutionContext):
    good = [key for key in context.partition_keys if key != "2024-01-05"]
    report(context, [Materialized(key, f"digest-{key}", {"rows": index}) for index, key in enumerate(good)])
    yield reported_output()
    yield dg.AssetCheckResult(check_name="contract", passed=good == context.partition_keys)


@dg.asset(partitions_def=DAYS, deps=[readings], backfill_policy=dg.BackfillPolicy.single_run())
def doubled(context: dg.AssetExecutionContext) -> None: ...


DEFINITIONS = dg.Definitions(
    assets=[readings, doubled], jobs=[dg.define_asset_job("both", selection=["readings", "doubled"])]
)


def _run(home: Path, first: str, last: str) -> tuple[dg.DagsterInstance, dg.ExecuteInProcessResult]:
    instance = dg.DagsterInstance.local_temp(
        str(home), overrides={"event_log_storage": STORAGE | {"config": {"base_dir": str(home / "history")}}}
    )
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    job = DEFINITIONS.resolve_job_def("both")
    return instance, job.execute_in_process(instance=instance, tags=tags, raise_on_error=False)


@pytest.fixture(params=["0", "1000"], ids=["one by one", "in a batch"])
def batch_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, request.param)
    return request.param


def test_each_day_has_its_own_metadata_and_data_version(tmp_path: Path, batch_size: str) -> None:
    instance, result = _run(tmp_path, "2024-01-06", "2024-01-09")
    assert result.success
    events = instance.fetch_materializations(dg.AssetKey("readings"), limit=100).records
    assert {event.partition_key: event.asset_materialization.tags[DATA_VERSION_TAG] for event in events} == {
        day: f"digest-{day}" for day in ("2024-01-06", "2024-01-07", "2024-01-08", "2024-01-09")
    }
    assert {event.asset_materialization.metadata["rows"].value for event in events} == {0, 1, 2, 3}
    assert {event.run_id for event in events} == {result.run_id}
    # Downstream in the same run went on, and Dagster added no event of its own to ours.
    assert len(instance.fetch_materializations(dg.AssetKey("doubled"), limit=100).records) == 4
    assert instance.get_materialized_partitions(dg.AssetKey("readings")) == {f"2024-01-0{n}" for n in (6, 7, 8, 9)}
    planned = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    assert len(planned) == 8
    newest = instance.get_latest_materialization_event(dg.AssetKey("readings"))
    assert newest is not None
    assert newest.asset_materialization.partition == "2024-01-09"


def test_a_day_that_failed_is_not_materialized_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BATCH_SIZE_VARIABLE, "1000")
    instance, result = _run(tmp_path, "2024-01-04", "2024-01-06")
    assert not result.success
    assert instance.get_materialized_partitions(dg.AssetKey("readings")) == {"2024-01-04", "2024-01-06"}
    assert not instance.get_materialized_partitions(dg.AssetKey("doubled"))
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
