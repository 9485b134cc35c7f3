"""Dagster's daemon in this process: the project's own sensors and schedules evaluated, what they ask for executed as Dagster runs.

As the daemon does: a run key that was used starts nothing twice, a cursor is stored after its tick, events of a tick are reported.
Other than the daemon: one thing at a time, and at the moments that the replay names.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration.execute import execute
from mtac_assets.orchestration.jobs import DATASET_TAG, RECIPE_TAG
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

RUN_KEY_TAG = "dagster/run_key"
SENSOR_TAG = "dagster/sensor_name"
SCHEDULE_TAG = "dagster/schedule_name"
MOST_ROUNDS = 40
QUIET: Mapping[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Daemon:
    """The sensors and schedules of one recipe and its datasets. `around` is given each run
    that is about to start, and starts it."""

    project: Project
    instance: dg.DagsterInstance
    repository: dg.RepositoryDefinition
    recipe: str
    datasets: Sequence[str]
    cursors: dict[str, str | None] = field(default_factory=dict)
    around: Callable[[dg.RunRequest, Callable[[], None]], None] = lambda request, start: start()

    def __post_init__(self) -> None:
        ours = [*(self._tagged(DATASET_TAG, name) for name in self.datasets), self._tagged(RECIPE_TAG, self.recipe)]
        self.sensors = tuple(sensor for tagged in ours for sensor in tagged)

    def _tagged(self, tag: str, value: str) -> list[dg.SensorDefinition]:
        return [sensor for sensor in self.repository.sensor_defs if sensor.tags.get(tag) == value]

    @property
    def schedules(self) -> tuple[dg.ScheduleDefinition, ...]:
        return tuple(each for each in self.repository.schedule_defs if each.tags.get(RECIPE_TAG) == self.recipe)

    def tick_schedule(self, name: str) -> None:
        """Evaluate the schedule for now and run what it asks for."""
        definition = self.repository.get_schedule_def(name)
        with dg.build_schedule_context(
            instance=self.instance, scheduled_execution_time=clock.now(), repository_def=self.repository
        ) as context:
            found = definition.evaluate_tick(context)
        for request in found.run_requests or ():
            self._start(request, {SCHEDULE_TAG: name}, definition.job_name)

    def rest(self) -> None:
        """Evaluate all sensors until none asks for anything. Raises MtacError where they never come to rest."""
        quiet = 0  # ticks since a run was started: all of them have looked since
        for sensor in itertools.islice(itertools.cycle(self.sensors), MOST_ROUNDS * len(self.sensors)):
            quiet = 0 if self._tick(sensor) else quiet + 1
            if quiet == len(self.sensors):
                return
        names = ", ".join(sensor.name for sensor in self.sensors)
        raise MtacError(
            Finding(
                f"the sensors ask for runs without end: {MOST_ROUNDS} rounds at {clock.now():%Y-%m-%d %H:%M}",
                names,
                "sensors that come to rest once all is done",
                "see the newest runs of this checkout in Dagster; a trigger that spins would do so with `mtac up` too",
            )
        )

    def _tick(self, sensor: dg.SensorDefinition) -> int:
        """One evaluation, with its runs; how many it started."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor.name),
            repository_def=self.repository,
            sensor_name=sensor.name,
        )
        with context:
            found = sensor.evaluate_tick(context)
        for event in found.asset_events:
            self.instance.report_runless_asset_event(event)
        if found.cursor is not None:
            self.cursors[sensor.name] = found.cursor
        started = 0
        for request in found.run_requests or ():
            started += self._start(request, {SENSOR_TAG: sensor.name}, None)
        return started

    def _start(self, request: dg.RunRequest, tags: Mapping[str, str], default: str | None) -> bool:
        """Run what was requested, unless its run key was used before. A run that fails is Dagster's record, not our error."""
        if request.run_key is not None:
            tags = {**tags, RUN_KEY_TAG: request.run_key}
            if self.instance.get_runs_count(dg.RunsFilter(tags=dict(tags))):
                return False
        name = request.job_name or default
        assert name is not None, "a request names its job where a sensor has several"
        job = self.repository.get_job(name)

        def start() -> None:
            # An error of the run's own was recorded by Dagster, with its findings.
            with suppress(MtacError):
                execute(
                    self.project,
                    self.instance,
                    job,
                    tags={**request.tags, **tags},
                    run_config={**request.run_config, **QUIET},
                )

        self.around(request, start)
        return True
