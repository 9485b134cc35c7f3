"""The services of a deployment, each a process of its own: what compose, Kubernetes and the tests start by `mtac service NAME`.

Commands, environments and health as data, from the environment's `server` section alone: no port or address stands a second time
in a file of the deployment. The caller prepares DAGSTER_HOME and passes what belongs into the environment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mtac_assets.provenance.files import write_atomic
from mtac_assets.services import commands, health
from mtac_assets.services.database import PASSWORD_VARIABLE, password, url
from mtac_assets.services.local import NotStartable
from mtac_assets.spec.errors import Finding
from mtac_assets.tracking.settings import MLFLOW_PREFIX

if TYPE_CHECKING:
    from mtac_assets.spec.environment import Address, Server
    from mtac_assets.spec.project import Project

NAMES = ("code", "webserver", "viewer", "daemon", "mlflow")
COURIER = "courier"  # no other program: `mtac service courier` itself
WATCHED = (*NAMES, COURIER)
SILENT_SECONDS = 300.0  # after which the courier, who makes a round a minute, is not at work
VIEWER_PREFIX = "/view"
WORKSPACE = "workspace.yaml"


@dataclass(frozen=True)
class Process:
    """What becomes of this process: a command, where it runs, and what its environment has beside what is there."""

    command: list[str]
    folder: Path
    environment: Mapping[str, str]


def server_of(project: Project) -> Server:
    """The environment's server section. Raises NotStartable where it has none."""
    server = project.environment.server
    if server is None:
        name = project.environment.name
        raise NotStartable(
            Finding(
                f"{name} is an environment of one machine",
                f"environments/{name}.yaml: server",
                "an environment whose services run apart",
                "`mtac up` starts all of them here; or set APP_ENV to a server environment",
            )
        )
    return server


def process(project: Project, name: str, module: str, environment: Mapping[str, str]) -> Process:
    """What `mtac service NAME` turns into. `module` holds the definitions; `environment` is what Dagster's processes need.

    Raises NotStartable, and SecretMissing before MLflow would.
    """
    server = server_of(project)
    shared = {**commands.shared_environment(), **environment}
    found = server.addresses
    if name == "mlflow":
        return _mlflow(project, server, shared)
    workspace = workspace_file(project)
    command = {
        "code": commands.code_server(module, project.package, project.root, server.listen, found.code.port),
        "webserver": commands.webserver(workspace, server.listen, found.webserver.port),
        "viewer": commands.webserver(workspace, server.listen, found.viewer.port, read_only=True, prefix=VIEWER_PREFIX),
        "daemon": commands.daemon(workspace),
    }[name]
    return Process(command, project.root, shared)


def healthy(project: Project, name: str) -> bool:
    """Whether the service of this name does its work, asked where the others find it."""
    found = server_of(project).addresses
    looks: dict[str, Callable[[], bool]] = {
        "code": partial(health.serves, f"{found.code.host}:{found.code.port}", "DagsterApi"),
        "webserver": partial(health.locations_loaded, _url(found.webserver)),
        "viewer": partial(health.locations_loaded, _url(found.viewer) + VIEWER_PREFIX),
        "daemon": partial(health.daemons_healthy, _url(found.webserver)),
        "mlflow": partial(health.answers, _url(found.mlflow) + MLFLOW_PREFIX + commands.MLFLOW_HEALTH),
        COURIER: partial(health.touched, _round_file(project), SILENT_SECONDS),
    }
    return looks[name]()


def round_done(project: Project) -> None:
    """The courier says that it made a round."""
    path = _round_file(project)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def _round_file(project: Project) -> Path:
    return project.state.outbox.parent / "courier"


def workspace_file(project: Project) -> Path:
    """The file that tells web servers and daemon where the code server is; written where it is not right already."""
    code = server_of(project).addresses.code
    path = project.state.dagster.absolute() / WORKSPACE
    entry: dict[str, Any] = {"host": code.host, "port": code.port, "location_name": project.package}
    content = (json.dumps({"load_from": [{"grpc_server": entry}]}) + "\n").encode()  # JSON is YAML
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    return path


def _mlflow(project: Project, server: Server, environment: Mapping[str, str]) -> Process:
    """Its files go through the server, so that no client needs the store's credentials; it runs inside a folder of its own, where
    what MLflow drops lands. MLflow cannot be told of a password file, so the password is in its environment, and in no other's."""
    here, postgres = server.addresses.mlflow, server.postgres
    allowed = [f"{here.host}:{here.port}", f"127.0.0.1:{here.port}", urlsplit(server.page).netloc]
    files = ["--serve-artifacts", "--artifacts-destination", server.artifacts]
    pages = ["--static-prefix", MLFLOW_PREFIX, "--cors-allowed-origins", server.page]
    store = url(postgres, postgres.mlflow_database)
    folder = project.state.mlflow.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return Process(
        commands.mlflow(store, server.listen, here.port, [*files, *pages], allowed),
        folder,
        {**environment, PASSWORD_VARIABLE: password(postgres.password_file)},
    )


def _url(address: Address) -> str:
    return f"http://{address.host}:{address.port}"
