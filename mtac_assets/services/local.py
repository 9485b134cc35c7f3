"""The three services of one machine: Dagster's web server, its daemon, and MLflow's server, all on loopback.

Only command lines and addresses: Dagster and MLflow are started, never imported. The caller prepares DAGSTER_HOME
(`orchestration.instance`) and passes what belongs into the environment.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from mtac_assets.services import health
from mtac_assets.services.ports import LOOPBACK
from mtac_assets.services.supervise import Service
from mtac_assets.spec.errors import Finding, MtacError
from mtac_assets.tracking.settings import child_environment, is_server, tracking_uri

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

WORKSPACE = "workspace.yaml"


class NotStartable(MtacError):
    """Something that `mtac up` needs is missing, or is up already."""


def ports(project: Project) -> dict[str, int]:
    """Ports that the services will listen on, by their name in the environment config."""
    numbers = {"webserver": project.environment.ports.webserver}
    if not is_server(tracking_uri(project)):
        numbers["mlflow"] = project.environment.ports.mlflow
    return numbers


def services(project: Project, environment: Mapping[str, str]) -> list[Service]:
    """What `mtac up` keeps running. MLflow's server is left out where the environment names one elsewhere."""
    if not (project.root / WORKSPACE).is_file():
        raise NotStartable(
            Finding(
                f"there is no {WORKSPACE}",
                str(project.root),
                "the file that tells Dagster which code to load",
                "copy the one from the documentation: load_from, python_module, the project's definitions",
            )
        )
    shared = {
        **child_environment(),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "",  # with it, `python -m` would not look into the project's root
        **environment,
    }
    found = _dagster(project, shared)
    if not is_server(tracking_uri(project)):
        found.append(_mlflow(project, shared))
    return found


def _dagster(project: Project, environment: Mapping[str, str]) -> list[Service]:
    """`python -m` from the project's root, so that the project's own code is loaded and not an installed one's."""
    port = project.environment.ports.webserver
    url = f"http://{LOOPBACK}:{port}"
    logs = project.state.runs / "logs"
    webserver = [sys.executable, "-m", "dagster_webserver", "-w", WORKSPACE, "-h", LOOPBACK, "-p", str(port)]
    daemon = [sys.executable, "-m", "dagster._daemon", "run", "-w", WORKSPACE]
    return [
        Service(
            "Dagster",
            webserver,
            project.root,
            logs / "dagster-webserver.log",
            environment,
            partial(health.locations_loaded, url),
            url,
        ),
        Service(
            "Dagster daemon",
            daemon,
            project.root,
            logs / "dagster-daemon.log",
            environment,
            partial(health.daemons_healthy, url),
        ),
    ]


def _mlflow(project: Project, environment: Mapping[str, str]) -> Service:
    """One worker is enough for a few people. It runs inside its own folder: what MLflow drops lands there."""
    port = project.environment.ports.mlflow
    url = f"http://{LOOPBACK}:{port}"
    folder = project.state.mlflow.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", tracking_uri(project)),
        # Everybody is on this machine, so files are written where they lie: a run recorded straight into the database and
        # one recorded through the server then look alike to both.
        *("--default-artifact-root", (folder / "artifacts").as_uri(), "--no-serve-artifacts"),
        *("--host", LOOPBACK, "--port", str(port), "--workers", "1"),
        *("--allowed-hosts", f"{LOOPBACK}:{port},localhost:{port}"),
    ]
    # MLflow's own job runner would put queues under /dev/shm and two more processes beside the server; nothing uses it.
    own = {**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = project.state.runs / "logs" / "mlflow.log"
    return Service("MLflow", command, folder, log, own, partial(health.answers, f"{url}/health"), url)


@contextmanager
def only_one(project: Project) -> Iterator[None]:
    """Hold the state for one `mtac up`: two daemons on one Dagster home would start every schedule twice."""
    path = project.state.locks / "up.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 100).decode(errors="replace").strip()
            raise NotStartable(
                Finding(
                    f"`mtac up` is running already for this state (process {holder})",
                    str(project.state.root),
                    "one `mtac up` for one state folder",
                    "use that one, or end it with Ctrl-C first",
                )
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
