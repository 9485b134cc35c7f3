"""Partitions that lie in the state and of which Dagster was not told: a run was killed between the two.

They are asked for once more; making them again changes no byte and finishes what was left: pointer, history, event.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from mtac_assets.orchestration.partition_events import DATA_VERSION_TAG

ALL = "all"


def unreported(
    instance: dg.DagsterInstance, asset: dg.AssetKey, versions: Mapping[str, str], *, partitioned: bool
) -> dict[str, str]:
    """Those of `versions` (partition key to data version) that are not the version of the key's newest materialisation."""
    if not versions:
        return {}
    if partitioned:
        told = instance.event_log_storage.get_latest_tags_by_partition(
            asset, dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
        )
        return {key: version for key, version in versions.items() if told.get(key, {}).get(DATA_VERSION_TAG) != version}
    newest = instance.get_latest_materialization_event(asset)
    materialization = newest.asset_materialization if newest is not None else None
    version = (materialization.tags or {}).get(DATA_VERSION_TAG) if materialization is not None else None
    return {key: wanted for key, wanted in versions.items() if wanted != version}


def unfinished(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether any run of `job` is queued or at work: what lies there unreported may be its own."""
    statuses = [status for status in dg.DagsterRunStatus if status not in FINISHED]
    return instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=statuses)) > 0


FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
