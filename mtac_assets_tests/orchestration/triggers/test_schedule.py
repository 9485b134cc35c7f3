"""A tick asks for the newest date that can be tested, seen from the one clock, and starts stopped unless the recipe says active."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest

from mtac_assets.orchestration.instance import instance as open_instance
from mtac_assets.orchestration.repository import load_repository
from mtac_assets.spec import clock
from mtac_assets.spec.project import Project


@pytest.fixture
def opened(project: Project) -> Iterator[dg.DagsterInstance]:
    with open_instance(project) as made:
        yield made
    clock.set_clock(None)


@pytest.mark.parametrize(
    ("end", "tick", "expected"),
    [
        (True, "2025-06-01", "2024-01-13"),  # the data ended long ago: the last two days are there to test on
        (False, "2024-01-12", "2024-01-10"),  # data keeps arriving: 10 and 11 January are complete on the 12th
        (False, "2024-01-03", None),  # not enough days yet
    ],
)
def test_latest_as_of(project: Project, opened: dg.DagsterInstance, end: bool, tick: str, expected: str | None) -> None:
    if not end:
        path = project.datasets()["tides"]
        path.write_text(path.read_text().replace(", end: 2024-01-14", ""))
    repository = load_repository(project)
    moment = datetime.fromisoformat(tick).replace(hour=4, tzinfo=UTC)
    clock.set_clock(lambda: moment)
    context = dg.build_schedule_context(instance=opened, scheduled_execution_time=moment, repository_def=repository)
    schedule = repository.get_schedule_def("floods_schedule")
    ticked = schedule.evaluate_tick(context)
    if expected is None:
        assert "not enough days" in (ticked.skip_message or "")
        return
    (request,) = ticked.run_requests or []
    assert request.job_name == "floods_line"
    assert request.run_config == {"ops": {"floods_bring_up_to_date": {"config": {"as_of": expected}}}}
    assert request.tags["mtac/trigger"] == "schedule"
    assert request.tags["mtac/as_of"] == expected
    assert "of tides to ingest" in request.tags["mtac/reason"]


def test_triggers_are_stopped_unless_the_recipe_says_active(project: Project) -> None:
    recipe = project.recipes()["floods"]
    recipe.write_text(recipe.read_text() + "  upstream: [tides]\n")
    stopped = load_repository(project)
    assert stopped.get_schedule_def("floods_schedule").default_status == dg.DefaultScheduleStatus.STOPPED
    assert stopped.get_sensor_def("floods_upstream").default_status == dg.DefaultSensorStatus.STOPPED


def test_triggers_are_on_where_the_recipe_says_active(project: Project) -> None:
    recipe = project.recipes()["floods"]
    recipe.write_text(recipe.read_text() + "  upstream: [tides]\n  active: true\n")
    on = load_repository(project)
    assert on.get_schedule_def("floods_schedule").default_status == dg.DefaultScheduleStatus.RUNNING
    assert on.get_sensor_def("floods_upstream").default_status == dg.DefaultSensorStatus.RUNNING
