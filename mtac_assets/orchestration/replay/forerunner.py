"""Models that a schedule will ask for, trained before it does: on the core that the player leaves idle, by a process of its own.

A model is decided by its fingerprint, so one that is trained ahead of its day is, bit for bit, the one that would be trained on it. What
is guessed here is which model will be asked for; a wrong guess costs time and changes nothing. It plays in a checkout of its own, where
all files have landed already, and hands what it makes to the library, from which the player takes it over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from mtac_assets.orchestration.jobs import RECIPE_TAG
from mtac_assets.orchestration.line import ingest_days, run_line
from mtac_assets.orchestration.replay.landing import Landing, keys_until
from mtac_assets.orchestration.replay.library import Library, measured
from mtac_assets.orchestration.replay.moments import Moment, landing_time, moments, set_time
from mtac_assets.orchestration.triggers.sources import newest_trainable
from mtac_assets.provenance.identity import declare
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.load import load_dataset

if TYPE_CHECKING:
    import dagster as dg

    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe
    from mtac_assets.training.nursery import Nursery


@dataclass
class Forerunner:
    """`reached`: the last day that the player has played to its end ("" before the first)."""

    project: Project
    repository: dg.RepositoryDefinition
    recipe: str
    landings: tuple[Landing, ...]
    library: Library
    children: Nursery
    reached: Callable[[], str]

    def run(self, first: date, last: date) -> None:
        """Train what will be asked for from `first` to `last`. A model that cannot be trained is left to the player, who says why."""
        self._ingest(last)
        for moment in self._trainings(first, last):
            if moment.at.date().isoformat() <= self.reached():
                continue
            set_time(moment.at)
            resolved = newest_trainable(self.project, self.recipe, {}).resolved
            if resolved is not None:
                with suppress(MtacError):
                    self._train(resolved)

    def _ingest(self, last: date) -> None:
        """All files at once, in one run a dataset: a day's content does not depend on when it came."""
        set_time(landing_time(last))
        for landing in self.landings:
            keys = keys_until(load_dataset(self.project, landing.dataset), last)
            landed = [key for key in keys if landing.land(self.project.root, key, landing_time(last))]
            with suppress(MtacError):  # a day that is refused keeps none of the others
                ingest_days(self.project, landing.dataset, landed)

    def _trainings(self, first: date, last: date) -> Iterator[Moment]:
        """When the player may train: for its first champion, and at each time of a schedule."""
        schedules = [each for each in self.repository.schedule_defs if each.tags.get(RECIPE_TAG) == self.recipe]
        begun = False
        for number in range((last - first).days + 1):
            for moment in moments(first + timedelta(days=number), schedules):
                if moment.schedules:
                    yield moment
                elif moment.lands and not begun:
                    set_time(moment.at)
                    begun = newest_trainable(self.project, self.recipe, {}).resolved is not None
                    if begun:
                        yield moment

    def _train(self, resolved: ResolvedRecipe) -> None:
        model_id = declare(self.project, resolved).model_id(self.recipe)
        with self.library.alone(model_id, wait=False) as mine:
            if mine and self.library.cost(model_id) is None:
                with measured(self.children) as cost:
                    run_line(self.project, resolved)
                self.library.take(self.project, model_id, cost)
