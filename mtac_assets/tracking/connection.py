"""One way to talk to MLflow: a client of the project's own, and every failure told as `Unreachable` or `Refused`.

Always `MlflowClient` with an explicit address, never the fluent API: that keeps one global run a process, and with it
come the stray and wrongly closed runs of `docs/decisions/0003-mlflow-resource-of-our-own.md`.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mtac_assets.spec.errors import Finding
from mtac_assets.tracking.errors import Refused, unreachable
from mtac_assets.tracking.settings import artifact_location, child_environment, is_server, tracking_uri

if TYPE_CHECKING:
    from mlflow.tracking.client import MlflowClient

    from mtac_assets.spec.project import Project

CONNECT_SECONDS = 2.0
KIND_TAG = "mlflow.experimentKind"  # without it MLflow's pages guess, and guess at language models
# Error codes with which MLflow says no for good. Every other failure may pass.
REFUSALS = frozenset(
    {"INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_STATE"}
)


@contextmanager
def connected(project: Project, where: str) -> Iterator[MlflowClient]:
    """A client for the block. `where` names what is being done, for the reader of an error.

    Raises Unreachable where MLflow does not answer: a server that is down costs at most `CONNECT_SECONDS` and not even
    the import of MLflow (2.5 s). Raises Refused where it answers no.
    """
    uri = tracking_uri(project)
    if is_server(uri):
        _knock(uri)
    os.environ.update(child_environment())
    import requests
    import sqlalchemy.exc
    from mlflow.exceptions import MlflowException

    logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)  # the first use would narrate its schema
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        if project.environment.mlflow.tracking_uri is None:
            project.state.mlflow.mkdir(parents=True, exist_ok=True)
        yield _client(uri)
    except MlflowException as error:
        if error.error_code not in REFUSALS:
            raise unreachable(where, _first_line(error)) from error
        raise Refused(
            Finding(
                f"MLflow refuses it: {_first_line(error)}",
                where,
                "something that MLflow accepts",
                f"look at it in MLflow at {uri.rpartition('@')[2]}, and at the message above",
            )
        ) from error
    except (requests.RequestException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        raise unreachable(where, _first_line(error)) from error


def ensure_experiment(project: Project, mlflow_client: MlflowClient, name: str) -> str:
    """Id of the experiment called `name`, made where it does not exist; its files lie where the project wants them."""
    from mlflow.exceptions import MlflowException

    found = mlflow_client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":
        mlflow_client.restore_experiment(found.experiment_id)
    if found is not None:
        return found.experiment_id
    try:
        return mlflow_client.create_experiment(
            name, artifact_location=artifact_location(project, name), tags={KIND_TAG: "custom_model_development"}
        )
    except MlflowException as error:
        found = mlflow_client.get_experiment_by_name(name)  # another process may have been quicker
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or found is None:
            raise
        return found.experiment_id


@lru_cache(maxsize=8)
def _client(uri: str) -> MlflowClient:
    from mlflow.tracking.client import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _knock(uri: str) -> None:
    parts = urlsplit(uri)
    address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(address, timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise unreachable(f"{address[0]}:{address[1]}", str(error)) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
