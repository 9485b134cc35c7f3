"""The definitions of a project: what its components own, with the resources that they need."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from mtac_assets.orchestration.dead_runs import watch_dead_runs
from mtac_assets.orchestration.resources.mlflow import MlflowTracking
from mtac_assets.orchestration.retention import clean_up
from mtac_assets.orchestration.settings import MLFLOW, SETTINGS, RunSettings
from mtac_assets.provenance.image import accepted
from mtac_assets.spec.project import find_project


def project_definitions(inside: Path) -> dg.Definitions:
    """All definitions of the project that `inside` lies in. A project's `definitions.py` is a call of this.

    Raises ImageRefused: code servers and run pods of Kubernetes are started by Dagster's chart, and come through here alone.
    """
    accepted()
    project = find_project(inside)
    resources = {
        SETTINGS: RunSettings(),
        MLFLOW: MlflowTracking(root=str(project.root), environment=project.environment.name),
    }
    cleaning = clean_up(project)
    jobs, schedules = ([cleaning[0]], [cleaning[1]]) if cleaning is not None else ([], [])
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=inside),
        dg.Definitions(resources=resources, jobs=jobs, schedules=schedules, sensors=[watch_dead_runs(project)]),
    )
