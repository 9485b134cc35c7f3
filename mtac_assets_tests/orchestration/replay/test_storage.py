"""One file for all runs: what a run left is there for the next process, and for a line that opens the instance again."""

from __future__ import annotations

import dagster as dg

from mtac_assets.orchestration.instance import instance
from mtac_assets.orchestration.replay.storage import storages
from mtac_assets.spec.project import Project


@dg.asset
def some_asset() -> int:
    return 1


def test_runs_and_events_outlive_the_process_that_wrote_them(project: Project) -> None:
    sections = storages(project.state.dagster.absolute())
    with instance(project, sections) as opened:
        done = dg.materialize([some_asset], instance=opened, tags={"dagster/run_key": "some:key"})
        assert done.success
        with instance(project) as again:
            assert again is opened, "a line within a run speaks to the same Dagster"
    with instance(project, sections) as opened:
        assert opened.get_runs_count(dg.RunsFilter(tags={"dagster/run_key": "some:key"})) == 1
        assert opened.get_latest_materialization_event(some_asset.key) is not None
    with instance(project) as other:
        assert other.get_runs_count() == 0, "the project's own Dagster knows nothing of it"
