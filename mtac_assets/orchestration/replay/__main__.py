"""`python -m mtac_assets.orchestration.replay ORDER.json`: play one policy, in its checkout, from where it stands to the last day.
With `--ahead`: train what its schedules will ask for, in another checkout.

Standard output has one JSON object a line, `{"day", "says"}`; all else goes to standard error. Exit codes as everywhere: 2 for
findings, which go into the order's `errors`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.evaluation import launch as evaluation
from mtac_assets.monitoring import launch as monitoring
from mtac_assets.orchestration.replay.surroundings import AHEAD
from mtac_assets.provenance.files import read_json, trust_times_of, write_atomic, write_json
from mtac_assets.spec.collector import settle
from mtac_assets.spec.errors import MtacError
from mtac_assets.training import launch as training
from mtac_assets.training.child import variables
from mtac_assets.training.nursery import COMMON, nursery

if TYPE_CHECKING:
    import dagster as dg

    from mtac_assets.orchestration.replay.landing import Landing
    from mtac_assets.orchestration.replay.library import Library
    from mtac_assets.spec.project import Project
    from mtac_assets.training.nursery import Nursery

CHILDREN = {each.MODULE: (*each.LIBRARIES, *COMMON) for each in (training, evaluation, monitoring)}
STAY = (evaluation.MODULE, monitoring.MODULE)


def main(arguments: list[str] | None = None) -> int:
    path, *options = arguments if arguments is not None else sys.argv[1:]
    order = read_json(Path(path))
    try:
        (_train_ahead if options == [AHEAD] else _play)(order)
    except MtacError as error:
        findings = [finding.document() for finding in error.findings]
        if not options:
            write_json(Path(order["errors"]), {"schema_version": 1, "errors": findings})
        print(error, file=sys.stderr, flush=True)
        return error.exit_code
    return 0


@dataclass(frozen=True)
class _Open:
    """All that both need: the checkout's project with Dagster open, a nursery, and the order, read."""

    project: Project
    instance: dg.DagsterInstance
    repository: dg.RepositoryDefinition
    children: Nursery
    recipe: str
    first: date
    last: date
    landings: tuple[Landing, ...]
    library: Library
    position: Path


@contextmanager
def _opened(order: dict[str, Any]) -> Iterator[_Open]:
    from mtac_assets.orchestration.instance import instance
    from mtac_assets.orchestration.replay.landing import Landing
    from mtac_assets.orchestration.replay.library import Library
    from mtac_assets.orchestration.replay.storage import storages
    from mtac_assets.orchestration.repository import kept_repository
    from mtac_assets.orchestration.triggers.challenger import load_any
    from mtac_assets.spec.project import find_project

    project = find_project()
    project.state.root.mkdir(parents=True, exist_ok=True)
    trust_times_of(project.state.root)  # all that is looked at lies there, or was laid out before
    first, last = (date.fromisoformat(order[name]) for name in ("first", "last"))
    landings = tuple(Landing.of(each) for each in order["landings"])
    library, position = Library(Path(order["library"])), Path(order["position"])
    home = project.state.dagster.absolute()
    with nursery(CHILDREN, STAY) as children, ExitStack() as stack:
        environment = variables(project, load_any(project, order["recipe"]))
        for module in CHILDREN:  # they load their libraries beside all that comes before the first model
            children.begin(module, project.root, environment)
        opened = stack.enter_context(instance(project, storages(home)))
        stack.enter_context(evaluation.keeping_baselines(library.baselines))
        repository = stack.enter_context(kept_repository(project))
        settle()
        yield _Open(project, opened, repository, children, order["recipe"], first, last, landings, library, position)


def _play(order: dict[str, Any]) -> None:
    from mtac_assets.orchestration.replay.account import Played, account
    from mtac_assets.orchestration.replay.player import Player

    write_atomic(Path(order["position"]).with_name("player.pid"), f"{os.getpid()}\n".encode())
    with _opened(order) as at:
        player = Player(
            at.project,
            at.instance,
            at.repository,
            at.recipe,
            at.landings,
            at.library,
            at.position,
            _tell,
            at.children,
        )
        player.play(at.first, at.last)
        played = Played(at.project, at.instance, at.recipe, at.landings, at.first, at.last, at.library)
        account(played, player.position.seconds, Path(order["account"]).parent)


def _train_ahead(order: dict[str, Any]) -> None:
    from mtac_assets.orchestration.replay.forerunner import Forerunner
    from mtac_assets.orchestration.replay.player import Position

    # Only where a core is idle: everything waits for the player, and a niceness alone lets it wait a moment at each of its many wakings.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with _opened(order) as at:
        forerunner = Forerunner(
            at.project,
            at.repository,
            at.recipe,
            at.landings,
            at.library,
            at.children,
            lambda: Position.read(at.position).day,
        )
        forerunner.run(at.first, at.last)


def _tell(day: date, says: str) -> None:
    print(json.dumps({"day": day.isoformat(), "says": says}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
