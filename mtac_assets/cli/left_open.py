"""What a killed process, or an MLflow that was away, left open: closed before a verb that reads or writes models goes to work.

Asked at every start, so the question is cheap: the outbox's folder and the ledger's head. Only where there is something to do are
MLflow and Dagster imported. Nothing here stops the verb: what could not be done is a warning, and the next start tries again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtac_assets.cli import output
from mtac_assets.spec.errors import MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

VERBS = frozenset(
    {"plan", "run", "backtest", "models", "show", "diff", "history", "verify", "reproduce", "promote", "rollback"}
)


def close_left_open(arguments: list[str]) -> None:
    """Before the verb that `arguments` name. Says what it closed, and warns of what it could not."""
    if not arguments or arguments[0] not in VERBS or {"--help", "-h"} & set(arguments):
        return
    from mtac_assets.provenance.git import GitError
    from mtac_assets.spec.project import find_project

    try:
        project = find_project()
        _ = project.environment
    except MtacError:
        return  # the verb says what is wrong with the project
    for closing in (_recordings, _ledger):
        try:
            warnings = closing(project)
        except GitError:
            continue  # without a repository there is no ledger to follow
        except (MtacError, OSError) as error:  # a state that may only be read is no reason not to read it
            warnings = [f"what was left open stays so: {error}"]
        for words in warnings:
            output.note(f"warning: {words}")


def _recordings(project: Project) -> list[str]:
    from mtac_assets.tracking.outbox import recordings

    if not recordings(project.state.outbox):
        return []
    from mtac_assets.tracking.record import close_orphans, flush

    closed = close_orphans(project)
    warnings = [f"recording {one} was left open by a process that is gone; it is closed now" for one in closed]
    if closed:
        warnings += _dead_runs(project)
    return warnings + [f"{finding.error}; {finding.remedy}" for finding in flush(project).warnings]


def _dead_runs(project: Project) -> list[str]:
    """Whoever left a recording open left its Dagster run open too."""
    from mtac_assets.orchestration.dead_runs import close_dead_runs
    from mtac_assets.orchestration.instance import instance

    with instance(project) as opened:
        return [
            f"Dagster run {run_id} was left open by a process that is gone; it is failed now"
            for run_id in close_dead_runs(project, opened)
        ]


def _ledger(project: Project) -> list[str]:
    from mtac_assets.promotion.told import is_told

    if is_told(project):
        return []
    from mtac_assets.promotion.decide import settle_all

    return settle_all(project)
