"""What a person may set for one run in the launchpad: the same overrides as `--set` on the command line."""

from __future__ import annotations

import dagster as dg
from pydantic import Field

SETTINGS = "settings"
MLFLOW = "mlflow"


class RunSettings(dg.ConfigurableResource):
    """Given once a run, so that features, training set, model and report all speak of the same recipe."""

    overrides: list[str] = Field(
        default_factory=list,
        description="Recipe values to change for this run, such as training.learning_rate=3e-3; they are part of the model's identity.",
    )
    force: bool = Field(default=False, description="Train again even if an intact result of the same inputs is there.")
    workers: int = Field(
        default=0, ge=0, description="Workers of the training; they change no bit. 0: as many as the environment says."
    )


def run_config(overrides: tuple[str, ...] = (), *, force: bool = False, workers: int = 0) -> dict[str, object]:
    """The run configuration that gives these settings, silent on the console."""
    return {
        "resources": {SETTINGS: {"config": {"overrides": list(overrides), "force": force, "workers": workers}}},
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }
