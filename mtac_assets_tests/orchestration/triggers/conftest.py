"""The tides project with its triggers on, a real Dagster instance, and a daemon of one's own: ticks and runs on request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from mtac_assets.orchestration.execute import execute
from mtac_assets.orchestration.instance import instance as open_instance
from mtac_assets.orchestration.repository import load_repository
from mtac_assets.spec import clock
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.project import Project

ARRIVAL = "arrival: {every_seconds: 5, settle_seconds: 5, attempts: 2, backoff_minutes: 10}\n"
TRIGGERS = """triggers:
  schedule: {cron: "0 4 * * *", timezone: Europe/Berlin}
  upstream: true
  cooldown_hours: 6
  daily_budget: 3
  backoff: {attempts: 2, first_minutes: 30}
"""


@dataclass
class Daemon:
    """Ticks the project's sensors over a real instance, and executes what they ask for in this process."""

    project: Project
    instance: dg.DagsterInstance
    moment: datetime
    repository: dg.RepositoryDefinition = field(init=False)
    cursors: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.start_again()

    def start_again(self) -> None:
        """A new process: what a sensor remembers in memory is gone, its cursor is not."""
        for name in [name for name in __import__("sys").modules if name.partition(".")[0] == self.project.package]:
            del __import__("sys").modules[name]
        self.repository = load_repository(self.project)

    def later(self, **span: float) -> None:
        self.moment += timedelta(**span)

    def tick(self, sensor: str, *, keep_cursor: bool = True) -> dg.SensorExecutionData:
        """One evaluation. Without `keep_cursor` it is as if the daemon had died before it stored the new one."""
        definition = self.repository.get_sensor_def(sensor)
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(sensor), repository_def=self.repository
        )
        found = definition.evaluate_tick(context)
        if keep_cursor and found.cursor is not None:
            self.cursors[sensor] = found.cursor
        return found

    def run(self, requests: Sequence[dg.RunRequest] | None) -> list[MtacError | None]:
        """Execute what was requested; the error of each, None where it succeeded."""
        outcomes: list[MtacError | None] = []
        for request in requests or []:
            assert request.job_name is not None
            job = self.repository.get_job(request.job_name)
            try:
                execute(self.project, self.instance, job, tags=request.tags, run_config=request.run_config)
            except MtacError as error:
                outcomes.append(error)
            else:
                outcomes.append(None)
        return outcomes


def keys_of(requests: Sequence[dg.RunRequest] | None) -> list[str | None]:
    return [request.run_key for request in requests or []]


@pytest.fixture
def triggered(project: Project) -> Project:
    """Tides with an arrival sensor, floods with all its triggers, an empty landing folder."""
    dataset, recipe = project.datasets()["tides"], project.recipes()["floods"]
    dataset.write_text(dataset.read_text() + ARRIVAL)
    text = recipe.read_text()
    recipe.write_text(text[: text.index("triggers:")] + TRIGGERS)
    for file in (project.root / "incoming").iterdir():
        file.unlink()
    return project


@pytest.fixture
def daemon(triggered: Project) -> Iterator[Daemon]:
    with open_instance(triggered) as opened:
        made = Daemon(triggered, opened, datetime.now(UTC) + timedelta(hours=1))
        clock.set_clock(lambda: made.moment)
        try:
            yield made
        finally:
            clock.set_clock(None)


@pytest.fixture
def keys() -> Callable[[Sequence[dg.RunRequest] | None], list[str | None]]:
    return keys_of
