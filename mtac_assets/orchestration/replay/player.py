"""The loop over the days of one policy, in the policy's own checkout.

Where it stands is kept after each day, so an interrupted replay goes on there; a day that was begun is played again, and finds
done what was done. Time is the moment that is played, also in every process that is started meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from mtac_assets.orchestration.jobs import line_name
from mtac_assets.orchestration.line import run_line
from mtac_assets.orchestration.replay.champions import ACTOR, ask_for_promotions
from mtac_assets.orchestration.replay.daemon import Daemon
from mtac_assets.orchestration.replay.landing import Landing, keys_until
from mtac_assets.orchestration.replay.library import Library, measured
from mtac_assets.orchestration.replay.moments import moments, set_time
from mtac_assets.orchestration.triggers.sources import newest_trainable
from mtac_assets.orchestration.triggers.tags import ACTOR_TAG, SUBJECT_TAG
from mtac_assets.provenance import ledger
from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.files import write_json
from mtac_assets.provenance.identity import declare
from mtac_assets.spec import clock
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.load import load_dataset

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.training.nursery import Nursery

SCHEMA_VERSION = 1
Tell = Callable[[date, str], None]


@dataclass
class Position:
    """What outlives an interruption: the last day that was played to its end, the sensors' cursors, and the time it all took."""

    day: str = ""
    cursors: dict[str, str | None] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: {"days": 0.0, "trainings": 0.0, "decisions": 0.0})

    @classmethod
    def read(cls, path: Path) -> Position:
        document = read_object(path)
        if document is None or document.get("schema_version") != SCHEMA_VERSION:
            return cls()
        return cls(document["day"], document["cursors"], document["seconds"])

    def write(self, path: Path) -> None:
        write_json(path, {"schema_version": SCHEMA_VERSION, **self.__dict__})


@dataclass
class Player:
    """One policy's project, opened once for all days."""

    project: Project
    instance: dg.DagsterInstance
    repository: dg.RepositoryDefinition
    recipe: str
    landings: tuple[Landing, ...]
    library: Library
    place: Path
    tell: Tell
    children: Nursery
    position: Position = field(init=False)
    daemon: Daemon = field(init=False)

    def __post_init__(self) -> None:
        self.position = Position.read(self.place)
        names = [landing.dataset for landing in self.landings]
        self.daemon = Daemon(self.project, self.instance, self.repository, self.recipe, names)
        self.daemon.cursors, self.daemon.around = self.position.cursors, self._start

    def play(self, first: date, last: date) -> None:
        """Every day from `first` to `last` that was not played yet."""
        day = first
        while day <= last:
            if day.isoformat() > self.position.day:
                began, before = time.monotonic(), dict(self.position.seconds)
                self._day(day)
                aside = sum(self.position.seconds[name] - before[name] for name in ("trainings", "decisions"))
                self.position.seconds["days"] += time.monotonic() - began - aside
                self.position.day = day.isoformat()
                self.position.write(self.place)
                self.tell(day, "")
            day += timedelta(days=1)

    def _day(self, day: date) -> None:
        for moment in moments(day, self.daemon.schedules):
            set_time(moment.at)
            if moment.lands:
                self._land(day - timedelta(days=1))
            for name in moment.schedules:
                self.daemon.tick_schedule(name)
            self.daemon.rest()
            if moment.lands:
                self._first_champion(day)

    def _land(self, until: date) -> None:
        """Yesterday's files, and before the first day all that had landed until then."""
        for landing in self.landings:
            keys = keys_until(load_dataset(self.project, landing.dataset), until)
            for key in keys if not self.position.day else keys[-1:]:
                landing.land(self.project.root, key, clock.now() - timedelta(minutes=1))

    def _first_champion(self, day: date) -> None:
        """While there is no champion, a person asks for one each day: a policy says how a model is renewed, not how it begins."""
        if ledger.champion_at(self.project, self.project.environment.name, self.recipe) is not None:
            return
        resolved = newest_trainable(self.project, self.recipe, {}).resolved
        if resolved is None:
            return
        model_id = declare(self.project, resolved).model_id(self.recipe)

        def train() -> None:
            with suppress(MtacError):
                run_line(self.project, resolved, tags={ACTOR_TAG: ACTOR})

        self._train(model_id, train)
        self.daemon.rest()

    def _start(self, request: dg.RunRequest, start: Callable[[], None]) -> None:
        """A run that a sensor or schedule asked for. One that trains takes a model over where a policy before it has trained it."""
        if request.job_name not in (None, line_name(self.recipe)):
            start()
            return
        self._train(f"{self.recipe}-{request.tags[SUBJECT_TAG][:12]}", start)

    def _train(self, model_id: str, start: Callable[[], None]) -> None:
        """Start a line that is to end in `model_id`, and ask for the promotion of what it made."""
        began = time.monotonic()
        with self.library.alone(model_id, wait=True):
            lent = self.library.lend(self.project, model_id)
            before = self._packs()
            with measured(self.children) as cost:
                start()
            for made in self._packs() - before:
                self.library.take(self.project, made, cost)
            if model_id in before and not lent:
                # An interruption cut this training off from its bookkeeping: it has no cost that could be told.
                self.library.take(self.project, model_id, dict.fromkeys(cost))
        took = time.monotonic() - began
        self.position.seconds["trainings"] += took
        self.tell(clock.today(), f"{model_id} {'taken over' if lent else 'trained'}, {took:.1f} s")
        began = time.monotonic()
        ask_for_promotions(self.project, self.instance, self.repository, self.recipe, self.library)
        self.position.seconds["decisions"] += time.monotonic() - began

    def _packs(self) -> set[str]:
        return {path.parent.name for path in self.project.state.models.glob(f"{self.recipe}-*/pack.json")}
