"""What a run leaves in Git: a commit of the data it ingested, a commit of the model it made, with the run's trigger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mtac_assets.orchestration.triggers.tags import ACTOR_TAG, PERSON, REASON_TAG, TRIGGER_TAG, evidence_of

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe


def commit_data(context: dg.AssetExecutionContext, project: Project, dataset: str, keys: Sequence[str]) -> None:
    """One commit of pointers and manifests on the dataset's own history.

    Without a Git repository the data is as good as with one: the run says so and goes on. A model would not be.
    """
    from mtac_assets.provenance.git import GitError
    from mtac_assets.provenance.record_data import record_data

    try:
        commit = record_data(project, dataset, keys, **_asked_by(context))
    except GitError as error:
        context.log.warning(f"the data's history was not written: {error}")
    else:
        if commit is not None:
            context.log.info(f"refs/mtac/data/{dataset} is {commit[:12]}")


def commit_model(
    context: dg.AssetExecutionContext, project: Project, resolved: ResolvedRecipe, pack: Path, report: Path
) -> str:
    """The model's commit; its id. Raises MtacError where the model could not be rebuilt from it."""
    from mtac_assets.provenance.record import record_model

    return record_model(project, resolved, pack, report, **_asked_by(context))


def _asked_by(context: dg.AssetExecutionContext) -> dict[str, Any]:
    """Who or what asked for the run, and why: part of the record of what it made."""
    tags = context.run.tags
    trigger, evidence = tags.get(TRIGGER_TAG, PERSON), evidence_of(tags)
    if trigger == PERSON and REASON_TAG in tags:  # of a sensor's run the evidence holds the reason already
        evidence["reason"] = tags[REASON_TAG]
    return {"trigger": trigger, "actor": actor_of(context), "evidence": evidence}


def actor_of(context: dg.AssetExecutionContext) -> str:
    """Who started the run, as far as it knows."""
    return context.run.tags.get(ACTOR_TAG, "")
