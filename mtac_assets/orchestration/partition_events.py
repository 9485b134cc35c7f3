"""Days of a range run, each with its own materialisation: own metadata, own data version.

From one result Dagster gives every partition of a `single_run` range the same data version, and takes a day that failed
for materialised. So an asset here reports its days itself, and yields its output with the mark by which Dagster knows
that the events are there already (declare `dagster_type=NO_VALUE`). Without that output, steps downstream in the same run would be skipped.
The mark and the batch are private to Dagster; test_partition_events.py fails on a version that drops them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.events import DagsterEvent, DagsterEventBatchMetadata, generate_event_batch_id

DATA_VERSION_TAG = "dagster/data_version"
NO_VALUE: Any = dg.Nothing  # no IO manager is asked to keep a value


@dataclass(frozen=True, slots=True)
class Materialized:
    """One partition (None: the asset has none) that is there now, with its content digest as data version."""

    partition: str | None
    data_version: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def report(context: dg.AssetExecutionContext, done: Sequence[Materialized]) -> None:
    """Write one materialisation event a partition for the step's only asset, in one batch."""
    step = context.op_execution_context._step_execution_context
    batch = generate_event_batch_id()
    for index, one in enumerate(done):
        event = dg.AssetMaterialization(
            asset_key=context.asset_key,
            partition=one.partition,
            metadata=one.metadata,
            tags={**one.tags, DATA_VERSION_TAG: one.data_version},
        )
        DagsterEvent.asset_materialization(step, event, DagsterEventBatchMetadata(batch, index == len(done) - 1))


def reported_output() -> dg.Output[None]:
    """The output of an asset that has reported its partitions: lets steps downstream go on, adds no event."""
    return dg.Output(None, metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
