"""The component of a dataset: what its `defs.yaml` names."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from mtac_assets.orchestration.assets.dataset import dataset_asset
from mtac_assets.orchestration.jobs import ingest_job
from mtac_assets.orchestration.place import dataset_place
from mtac_assets.orchestration.scaffold import DatasetScaffolder
from mtac_assets.orchestration.triggers.arrival import arrival_sensor


@dg.scaffold_with(DatasetScaffolder)
class VersionedDataset(dg.Component, dg.Model, dg.Resolvable):
    """Versioned input data, cut into partitions, with a contract. Reads the `dataset.yaml` beside its `defs.yaml`.

    It takes no attributes: a value from the surroundings would be an input that nobody pinned.
    """

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        return dg.ComponentTypeSpec(
            description="A dataset versioned by content, with a blocking contract. Written in dataset.yaml.",
            tags=["mtac", "data"],
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        place = dataset_place(Path(context.path))
        arrival = place.dataset.arrival
        return dg.Definitions(
            assets=[dataset_asset(place)],
            jobs=[ingest_job(place)],
            sensors=[arrival_sensor(place, arrival)] if arrival is not None else [],
        )
