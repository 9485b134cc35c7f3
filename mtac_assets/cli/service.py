"""`mtac service`: one service of a deployment in the foreground. compose, Kubernetes and the tests all start them so."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mtac_assets.cli import output
from mtac_assets.cli.app import app

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


class Name(StrEnum):
    prepare = "prepare"
    migrate = "migrate"
    code = "code"
    webserver = "webserver"
    viewer = "viewer"
    daemon = "daemon"
    mlflow = "mlflow"
    courier = "courier"


@app.command()
def service(
    name: Annotated[
        Name, typer.Argument(help="Which one; `prepare` comes before all others, `migrate` after an upgrade.")
    ],
    healthy: Annotated[
        bool, typer.Option("--healthy", help="Only ask whether it does its work: exit code 0 or 1.")
    ] = False,
) -> int:
    """Run one service of a deployment in the foreground (environments with a `server` section; `mtac up` is for one machine)."""
    from mtac_assets.provenance.image import accepted
    from mtac_assets.services.server import NAMES, WATCHED, server_of
    from mtac_assets.services.server import healthy as asked
    from mtac_assets.spec.project import find_project

    project = find_project()
    server_of(project)
    if healthy:
        return 0 if name.value not in WATCHED or asked(project, name.value) else 1
    accepted()  # nothing of another image works on what is here; `--healthy` and the doctor still look
    if name.value in NAMES:
        _become(project, name.value)
    {Name.prepare: _prepare, Name.migrate: _migrate, Name.courier: _carry}[name](project)
    return 0


def _become(project: Project, name: str) -> None:
    """This process becomes the service's: signals and exit codes are its own."""
    from mtac_assets.orchestration.instance import environment_variables, prepare_dagster_home
    from mtac_assets.orchestration.repository import definitions_module
    from mtac_assets.services.server import process

    if name != "mlflow":
        prepare_dagster_home(project)
    found = process(project, name, definitions_module(project), environment_variables(project))
    os.chdir(found.folder)
    os.execve(found.command[0], found.command, {**os.environ, **found.environment})


def _prepare(project: Project) -> None:
    """What all services rest on: the repository with the image's code, folders, tables of this version's schema."""
    from mtac_assets.orchestration.prepare import prepare

    for line in prepare(project):
        output.note(line)


def _migrate(project: Project) -> None:
    """Bring both databases to the schema of the installed versions; all services stopped, a backup made."""
    from mtac_assets.orchestration.prepare import migrate

    for line in migrate(project):
        output.note(line)


def _carry(project: Project) -> None:
    """What `mtac up` does once a minute: deliver to MLflow what waits, and let its aliases follow the ledger."""
    import signal
    import threading

    from mtac_assets.cli.up import send_queued
    from mtac_assets.services.server import round_done
    from mtac_assets.services.supervise import CHORE_SECONDS

    stop, told = threading.Event(), set[str]()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    output.note("delivering to MLflow what waits, once a minute")
    while not stop.is_set():
        send_queued(project, told)
        round_done(project)
        stop.wait(CHORE_SECONDS)
