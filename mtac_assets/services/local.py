"""The three services of one machine: Dagster's web server, its daemon, and MLflow's server, all on loopback.

Only command lines and addresses: Dagster and MLflow are started, never imported. The caller prepares DAGSTER_HOME
(`orchestration.instance`) and passes what belongs into the environment.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from mtac_assets.services import commands, health
from mtac_assets.services.ports import LOOPBACK
from mtac_assets.services.supervise import Service
from mtac_assets.spec.errors import Finding, MtacError
from mtac_assets.tracking.settings import is_server, tracking_uri

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

WORKSPACE = "workspace.yaml"


class NotStartable(MtacError):
    """Something that `mtac up` needs is missing, or is up already."""


def ports(project: Project) -> dict[str, int]:
    """Ports that the services will listen on, by their name in the environment config. Raises NotStartable where they run apart."""
    if project.environment.server is not None:
        raise NotStartable(
            Finding(
                f"the services of {project.environment.name} run apart",
                f"environments/{project.environment.name}.yaml: server",
                "an environment of one machine",
                "`mtac service NAME` runs one of them, deploy/compose.yaml all; or unset APP_ENV",
            )
        )
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
    shared = {**commands.shared_environment(), **environment}
    found = _dagster(project, shared)
    if not is_server(tracking_uri(project)):
        found.append(_mlflow(project, shared))
    return found


def _dagster(project: Project, environment: Mapping[str, str]) -> list[Service]:
    port = project.environment.ports.webserver
    url = f"http://{LOOPBACK}:{port}"
    logs = project.state.runs / "logs"
    return [
        Service(
            "Dagster",
            commands.webserver(WORKSPACE, LOOPBACK, port),
            project.root,
            logs / "dagster-webserver.log",
            environment,
            partial(health.locations_loaded, url),
            url,
        ),
        Service(
            "Dagster daemon",
            commands.daemon(WORKSPACE),
            project.root,
            logs / "dagster-daemon.log",
            environment,
            partial(health.daemons_healthy, url),
        ),
    ]


def _mlflow(project: Project, environment: Mapping[str, str]) -> Service:
    """It runs inside its own folder: what MLflow drops lands there."""
    port = project.environment.ports.mlflow
    url = f"http://{LOOPBACK}:{port}"
    folder = project.state.mlflow.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    # Everybody is on this machine, so files are written where they lie: a run recorded straight into the database and
    # one recorded through the server then look alike to both.
    artifacts = ["--default-artifact-root", (folder / "artifacts").as_uri(), "--no-serve-artifacts"]
    allowed = [f"{LOOPBACK}:{port}", f"localhost:{port}"]
    command = commands.mlflow(tracking_uri(project), LOOPBACK, port, artifacts, allowed)
    log = project.state.runs / "logs" / "mlflow.log"
    healthy = partial(health.answers, url + commands.MLFLOW_HEALTH)
    return Service("MLflow", command, folder, log, environment, healthy, url)


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
