"""What every test stands on: no test reads the network, the user's Git configuration, or another project's state."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]

os.environ.update(
    {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "1",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": str(
            ROOT
        ),  # processes in a project of a test's own run this checkout's engine, not an installed one
    }
)
# What a test computes itself has the bits of what our processes compute, which are kept to AVX2 also on a processor that has more.
os.environ.update({"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"})
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side: two threads each would wait for one another
# pandera loads hypothesis where it is installed, which no image has; its plugins alone take three quarters of a second of each process
os.environ.setdefault("HYPOTHESIS_NO_PLUGINS", "1")
os.environ.pop("APP_ENV", None)
os.environ.pop("MTAC_CLOCK", None)

# No test is timed: a busy machine is no counterexample. Where a change is judged, it is judged on the same examples each time.
settings.register_profile("anywhere", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("judged", settings.get_profile("anywhere"), derandomize=True)
settings.load_profile("judged" if os.environ.get("CI") else "anywhere")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


# The trained project, once for all tests of a process; imported here, after the variables that its processes get are set.
from mtac_assets_tests.trained import line, model, trained  # noqa: E402

__all__ = ["ROOT", "line", "model", "root", "trained"]
