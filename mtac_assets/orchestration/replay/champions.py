"""Who asks for promotions in a replay: every model, once, as soon as it is trained; the gates decide, by the real jobs.

The model is judged before it is rebuilt, and rebuilt only where nothing else keeps it from being promoted: a rebuild costs as much as
a training. Every segment of it, some at a time on a CPU. What another policy has rebuilt is evidence here too, for it is the
same model, bit for bit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration.execute import execute, partition_tags
from mtac_assets.orchestration.replay.daemon import QUIET
from mtac_assets.orchestration.triggers.tags import ACTOR_TAG
from mtac_assets.promotion.reproduce import newest_reproduction, record_reproduction
from mtac_assets.provenance import ledger, refs
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.load import check_recipe

if TYPE_CHECKING:
    from mtac_assets.orchestration.replay.library import Library
    from mtac_assets.provenance.ledger import Entry
    from mtac_assets.provenance.refs import ModelSummary
    from mtac_assets.spec.project import Project

ACTOR = "replay"
DECISIONS = ("promote", "refuse")
REPRODUCTION_GATE = "reproduction"
MOST_AT_A_TIME = 4


def ask_for_promotions(
    project: Project, instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, recipe: str, library: Library
) -> None:
    """Ask for every model of the recipe of which the ledger says nothing final yet, oldest first."""
    models = sorted(refs.list_models(project, recipe), key=lambda model: (model.as_of or "", model.created_at))
    history = ledger.history(project, project.environment.name, recipe)
    for model in models:
        if not any(final(entry) and entry.model_id == model.model_id for entry in history):
            _ask(project, instance, repository, model, library)


def _at_a_time(project: Project, recipe: str) -> int:
    """Segments of a rebuild that are replayed at a time: as many as there are cores for, few enough for their memory; one on a GPU."""
    training = check_recipe(project, recipe).training
    return 1 if training.device != "cpu" else max(1, min((os.cpu_count() or 1) // training.threads, MOST_AT_A_TIME))


def final(entry: Entry) -> bool:
    """A promotion, or a refusal for another reason than that nobody has rebuilt the model yet."""
    return entry.kind in DECISIONS and not wants_rebuild(entry)


def wants_rebuild(entry: Entry) -> bool:
    """A refusal that a rebuild would lift."""
    failed = failing(entry)
    return entry.kind == "refuse" and bool(failed) and all(verdict["gate"] == REPRODUCTION_GATE for verdict in failed)


def failing(entry: Entry) -> list[Mapping[str, Any]]:
    """The verdicts of a decision that did not pass."""
    return [verdict for verdict in entry.evidence.get("verdicts", ()) if not verdict["passed"]]


def _ask(
    project: Project,
    instance: dg.DagsterInstance,
    repository: dg.RepositoryDefinition,
    model: ModelSummary,
    library: Library,
) -> None:
    recipe, environment = model.recipe, project.environment.name

    def run(verb: str, asset: str, config: Mapping[str, Any]) -> None:
        op = {f"{recipe}__{asset}": {"config": {"model_id": model.model_id, "reason": "a replay asks", **config}}}
        tags = {ACTOR_TAG: ACTOR, **(partition_tags([model.as_of], ranged=False) if model.as_of else {})}
        # A refusal fails the run; the ledger has it.
        with suppress(MtacError):
            execute(
                project, instance, repository.get_job(f"{recipe}_{verb}"), tags=tags, run_config={"ops": op, **QUIET}
            )

    def entries() -> list[Entry]:
        mine = ledger.history(project, environment, recipe)
        return [entry for entry in mine if entry.model_id == model.model_id]

    known = library.reproduction(model.model_id)
    if known is not None and newest_reproduction(entries(), model.model_id) is None:
        evidence = {**known, "commit": model.commit, "rebuilt_in": "another policy of this replay"}
        record_reproduction(project, model, evidence, ACTOR, "rebuilt before")
    run("promote", "champion", {"by": ACTOR})
    decisions = [entry for entry in entries() if entry.kind in DECISIONS]
    if not decisions or not wants_rebuild(decisions[-1]):
        return
    run("reproduce", "reproduction", {"segments": "all", "workers": _at_a_time(project, recipe)})
    done = newest_reproduction(entries(), model.model_id)
    if done is not None and done["verdict"] == "identical":
        library.keep_reproduction(
            model.model_id, {name: value for name, value in done.items() if name not in ("sequence", "at")}
        )
    run("promote", "champion", {"by": ACTOR})
