"""Where MLflow is for a project, what its pages are called, and the environment variables that tame it.

Plain values only: nothing here talks to MLflow or imports it (`connection.py` does).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mtac_assets.spec.errors import Finding
from mtac_assets.tracking.errors import TrackingError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

LOOPBACK = "127.0.0.1"
MLFLOW_PREFIX = "/mlflow"  # in a deployment: below it MLflow serves its pages and its API, to the proxy and within
MODEL_VIEW = "?workflowType=machine_learning"
# `file:` stores are left out: they append a metric again on every replay, so a recording could not be retried safely.
SUPPORTED_SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql")

# A person's own choice in the environment wins over these, and not over what is in ALWAYS.
CLIENT_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the outbox retries; a retry inside the client could create a second run
    "MLFLOW_TRUNCATE_LONG_VALUES": "false",  # a value that does not fit is an error, never a shorter value
}
ALWAYS = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is a command's one JSON document
}


def tracking_uri(project: Project) -> str:
    """The environment's MLflow, the deployment's own, or SQLite under the state. Raises TrackingError for a kind of store we cannot retry on."""
    uri, server = project.environment.mlflow.tracking_uri, project.environment.server
    if server is not None:
        return f"http://{server.addresses.mlflow.host}:{server.addresses.mlflow.port}{MLFLOW_PREFIX}"
    if uri is None:
        return f"sqlite:///{(project.state.mlflow / 'mlflow.db').absolute()}"
    scheme = urlsplit(uri).scheme.partition("+")[0]
    if scheme not in SUPPORTED_SCHEMES:
        raise TrackingError(
            Finding(
                f"MLflow store {uri!r} is not supported",
                f"environments/{project.environment.name}.yaml: mlflow.tracking_uri",
                f"an address beginning with one of {', '.join(s + '://' for s in SUPPORTED_SCHEMES)}",
                "name a tracking server or a database, or null for SQLite under the state folder",
            )
        )
    return uri


def is_server(uri: str) -> bool:
    """True where `uri` names a tracking server and not a database."""
    return urlsplit(uri).scheme in ("http", "https")


def artifact_location(project: Project, experiment: str) -> str | None:
    """Where a new experiment keeps its files: under the state for a database, the server's own choice for a server."""
    if is_server(tracking_uri(project)):
        return None
    return (project.state.mlflow / "artifacts" / experiment).absolute().as_uri()


def page_root(project: Project) -> str:
    """Address of MLflow's pages: behind a deployment's proxy, the server's, or the one that `mtac up` starts."""
    if project.environment.server is not None:
        return project.environment.server.page + MLFLOW_PREFIX
    uri = tracking_uri(project)
    if is_server(uri):
        parts = urlsplit(uri)
        host = parts.netloc.rpartition("@")[2]  # credentials in an address must not reach a page or a tag
        return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
    return f"http://{LOOPBACK}:{project.environment.ports.mlflow}"


def run_page(project: Project, experiment_id: str, run_id: str) -> str:
    """A run's page, in MLflow's view for trained models; its other view is for language models and hides half of it."""
    return f"{page_root(project)}/#/experiments/{experiment_id}/runs/{run_id}{MODEL_VIEW}"


def dagster_run_page(project: Project, dagster_run_id: str) -> str:
    server = project.environment.server
    root = server.page if server is not None else f"http://{LOOPBACK}:{project.environment.ports.webserver}"
    return f"{root}/runs/{dagster_run_id}"


def child_environment() -> dict[str, str]:
    """What every process that may import MLflow gets: telemetry off, short timeouts, nothing unpickled."""
    return {name: os.environ.get(name, value) for name, value in CLIENT_DEFAULTS.items()} | ALWAYS
