"""Command lines of Dagster's and MLflow's processes, for `mtac up` and for a deployment's services alike.

Plain lists: nothing is started here, and neither Dagster nor MLflow imported. Always `python -m` from the project's root, so that
the project's own code is loaded and not an installed one's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mtac_assets.tracking.settings import child_environment

MLFLOW_HEALTH = "/health"


def webserver(workspace: Path | str, host: str, port: int, *, read_only: bool = False, prefix: str = "") -> list[str]:
    """Dagster's pages; `read_only` for those who may look and not act, `prefix` where they do not lie at the root."""
    command = [sys.executable, "-m", "dagster_webserver", "-w", str(workspace), "-h", host, "-p", str(port)]
    if read_only:
        command.append("--read-only")
    if prefix:
        command += ["--path-prefix", prefix]
    return command


def daemon(workspace: Path | str) -> list[str]:
    """Schedules, sensors, the queue of runs and their monitoring."""
    return [sys.executable, "-m", "dagster._daemon", "run", "-w", str(workspace)]


def code_server(module: str, location: str, root: Path, host: str, port: int) -> list[str]:
    """The definitions over gRPC, and the runs that the daemon asks for; they are started by this Python."""
    serving = [sys.executable, "-m", "dagster", "api", "grpc", "-h", host, "-p", str(port)]
    loading = ["-m", module, "-d", str(root), "--location-name", location]
    return [*serving, *loading, "--use-python-environment-entry-point"]


def mlflow(store: str, host: str, port: int, options: Sequence[str], allowed: Sequence[str]) -> list[str]:
    """MLflow's server; one worker is enough for a few people. `options`: where files lie and pages are shown."""
    return [
        *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store),
        *options,
        *("--host", host, "--port", str(port), "--workers", "1"),
        *("--allowed-hosts", ",".join(allowed)),
    ]


def shared_environment() -> dict[str, str]:
    """What all of them get: nothing is told to anybody outside, and nothing unpickled."""
    return {
        **child_environment(),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "",  # with it, `python -m` would not look into the project's root
        # MLflow's own job runner would put queues under /dev/shm and two more processes beside the server; nothing uses it.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
