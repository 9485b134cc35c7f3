"""A tick asks for the latest as-of date that can be tested, seen from the tick and not from the machine's clock."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest

from mtac_assets.orchestration.repository import load_repository
from mtac_assets.spec.project import Project


@pytest.mark.parametrize(
    ("end", "tick", "expected"),
    [
        (True, "2025-06-01", "2024-01-13"),  # the data ended long ago: the last two days are there to test on
        (False, "2024-01-12", "2024-01-10"),  # data keeps arriving: 10 and 11 January are complete on the 12th
        (False, "2024-01-03", None),  # not enough days yet
    ],
)
def test_latest_as_of(project: Project, end: bool, tick: str, expected: str | None) -> None:
    if not end:
        path = project.datasets()["tides"]
        path.write_text(path.read_text().replace(", end: 2024-01-14", ""))
    repository = load_repository(project)
    moment = datetime.fromisoformat(tick).replace(hour=4, tzinfo=UTC)
    context = dg.build_schedule_context(scheduled_execution_time=moment, repository_def=repository)
    ticked = repository.get_schedule_def("floods_schedule").evaluate_tick(context)
    (request,) = ticked.run_requests or [None]
    assert (request.partition_key if request else None) == expected
    if request is None:
        assert "enough days" in (ticked.skip_message or "")
    else:
        assert request.tags["mtac/trigger"] == "schedule"
