"""MLflow for Dagster: our own resource for trainings, and dagster-mlflow's for a team's own ops.

Thin on purpose: recording itself is `mtac_assets.tracking`, which knows no Dagster. Why there are two is told in
docs/decisions/0003-mlflow-resource-of-our-own.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from mtac_assets.spec.project import Project, find_project
from mtac_assets.tracking.record import Outcome, Recorder

if TYPE_CHECKING:
    from mtac_assets.tracking.description import Training


class MlflowTracking(dg.ConfigurableResource):
    """Records trainings in the project's MLflow: one MLflow run a training, closed with the step and not with the graph."""

    root: str = Field(description="The project's folder.")
    environment: str = Field(description="Name of the environment config.")

    @property
    def project(self) -> Project:
        return find_project(Path(self.root), self.environment)

    def start(self, training: Training) -> Recorder:
        """Begin the run of a training; use it in a `with` block, which closes it whatever happens."""
        return Recorder(self.project).start(training)

    def amend(self, experiment: str, model_id: str) -> Recorder:
        """Add to the run of a model that was trained earlier: its report, its registration."""
        return Recorder(self.project).amend(experiment, model_id)


def metadata(outcome: Outcome) -> dict[str, dg.MetadataValue]:
    """The link from Dagster to MLflow, or the warning that the recording is still queued."""
    if outcome.url is not None and outcome.delivered:
        return {"mlflow_run": dg.MetadataValue.url(outcome.url)}
    why = "; ".join(entry.error for entry in outcome.warnings) or "mlflow.deliver is false"
    return {"mlflow_run": dg.MetadataValue.text(f"queued: {why}")}


def team_mlflow(project: Project, experiment: str) -> dg.ResourceDefinition:
    """dagster-mlflow's resource for a team's own ops, pointed at the project's MLflow.

    Right on a straight chain of ops, with dagster-mlflow's `end_mlflow_on_run_finished` hook on the job; wrong on a
    graph with branches, where a training must use `MlflowTracking`. Imports MLflow when called (2.5 s).
    """
    from dagster_mlflow import mlflow_tracking

    from mtac_assets.tracking.connection import connected, ensure_experiment
    from mtac_assets.tracking.settings import child_environment, tracking_uri

    with connected(project, f"experiment {experiment}") as client:
        ensure_experiment(project, client, experiment)  # else its files would land in ./mlruns
    return mlflow_tracking.configured(
        {
            "experiment_name": experiment,
            "mlflow_tracking_uri": tracking_uri(project),
            "env": child_environment(),
            "extra_tags": {"mtac.environment": project.environment.name},
        }
    )
