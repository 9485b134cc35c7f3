"""What a killed process, or an MLflow that was away, left open: closed before a verb that reads or writes models goes to work.

Asked at every start, so the question is cheap: the outbox's folder and the ledger's head. Only where there is something to do are
MLflow and Dagster imported. Nothing here stops the verb: what could not be done is a warning, and the next start tries again. A verb
that only reads repeats the warning instead where the last try is a minute old at most: MLflow's absence is not waited for each time.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.cli import output
from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.spec import clock
from mtac_assets.spec.errors import MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

READING = frozenset({"plan", "models", "show", "diff", "history", "verify"})
VERBS = READING | {"run", "backtest", "reproduce", "promote", "rollback"}
TRIED, PATIENCE = "left-open.json", timedelta(minutes=1)


def close_left_open(arguments: list[str]) -> None:
    """Before the verb that `arguments` name. Says what it closed, and warns of what it could not."""
    if not arguments or arguments[0] not in VERBS or {"--help", "-h"} & set(arguments):
        return
    from mtac_assets.provenance.git import GitError
    from mtac_assets.spec.project import find_project

    try:
        project = find_project()
    except MtacError:
        return  # the verb says what is wrong with the project
    tried = project.state.cache / TRIED
    remaining: list[str] = []
    said = _said_lately(tried) if arguments[0] in READING else None
    for closing in (_recordings, _ledger) if said is None else ():
        try:
            closed, left = closing(project)
        except GitError:
            continue  # without a repository there is no ledger to follow
        except (MtacError, OSError) as error:  # a state that may only be read is no reason not to read it
            closed, left = [], [f"what was left open stays so: {error}"]
        for words in closed:
            output.note(f"warning: {words}")
        remaining += left
    for words in said or remaining:
        output.note(f"warning: {words}")
    if remaining:
        with suppress(OSError):
            write_json(tried, {"schema_version": 1, "at": clock.timestamp(), "left": remaining})


def _said_lately(tried: Path) -> list[str] | None:
    """What the last try could not close, where that was within PATIENCE."""
    if not tried.is_file():
        return None
    document = read_json(tried)
    age = clock.now() - datetime.fromisoformat(document["at"])
    return document["left"] if timedelta() <= age < PATIENCE else None


Closed = tuple[list[str], list[str]]
"""What was closed now, and what could not be."""


def _recordings(project: Project) -> Closed:
    from mtac_assets.tracking.outbox import recordings

    if not recordings(project.state.outbox):
        return [], []
    from mtac_assets.tracking.record import close_orphans, flush

    orphans = close_orphans(project)
    closed = [f"recording {one} was left open by a process that is gone; it is closed now" for one in orphans]
    if orphans:
        closed += _dead_runs(project)
    return closed, [f"{finding.error}; {finding.remedy}" for finding in flush(project).warnings]


def _dead_runs(project: Project) -> list[str]:
    """Whoever left a recording open left its Dagster run open too."""
    from mtac_assets.orchestration.dead_runs import close_dead_runs
    from mtac_assets.orchestration.instance import instance

    with instance(project) as opened:
        return [
            f"Dagster run {run_id} was left open by a process that is gone; it is failed now"
            for run_id in close_dead_runs(project, opened)
        ]


def _ledger(project: Project) -> Closed:
    from mtac_assets.promotion.told import is_told

    if is_told(project):
        return [], []
    from mtac_assets.promotion.decide import settle_all

    return [], settle_all(project)
