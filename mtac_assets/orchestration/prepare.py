"""What a deployment's services rest on, made before the first of them starts, and brought up to date after an upgrade.

Everything here may be done again at any time: what is right already is left alone, and nothing is ever dropped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.orchestration.instance import instance, limit_trainings
from mtac_assets.orchestration.postgres_check import problems_of
from mtac_assets.provenance import deployed
from mtac_assets.provenance.git import Repository
from mtac_assets.provenance.image import accepted, folder
from mtac_assets.services.commands import shared_environment
from mtac_assets.services.database import PASSWORD_VARIABLE, DatabaseDown, make_missing, password, url
from mtac_assets.services.server import server_of, workspace_file
from mtac_assets.spec.errors import Finding, raise_all

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


def prepare(project: Project) -> Iterator[str]:
    """Lay down the image's code, make folders, tables and pools; a line for people on each.

    Raises MtacError: another image than the accepted one, a secret or database that is missing, a schema of another version (`migrate` brings it up to date), a
    repository that has gone another way.
    """
    server = server_of(project)
    baked, built = folder(), accepted()
    if baked is not None and built is not None:
        repository = deployed.open_repository(Path(server.repository))
        yield "repository: " + ", ".join(deployed.lay_down(project.root, repository, built, baked))
    else:
        yield f"repository: no image, so the checkout's own at {Repository.at(project.root).git_dir}"
    folders = [project.state.root, project.state.runs, project.state.locks]
    named = (server.artifacts, project.environment.data.remote or "")
    folders += [Path(place) for place in named if place.startswith("/")]  # else it is a URL
    for place in folders:
        place.mkdir(parents=True, exist_ok=True)
    yield f"folders: {len(folders)} are there"
    workspace_file(project)
    made = make_missing(server.postgres)
    yield "databases: " + (f"made {' and '.join(made)}" if made else "both are there")
    with instance(project) as opened:  # makes what is missing
        raise_all(DatabaseDown, problems_of(server.postgres))
        limit_trainings(opened, project.environment.limits.concurrent_trainings)
    yield f"tables: those that are there are of this version; {project.environment.limits.concurrent_trainings} trainings at a time"


def migrate(project: Project) -> Iterator[str]:
    """Bring Dagster's and MLflow's tables to the schema that the installed versions write. Raises DatabaseDown."""
    server = server_of(project)
    with instance(project) as opened:
        opened.upgrade(print_fn=lambda _: None)
    yield "Dagster's tables are of this version's schema"
    address = url(server.postgres, server.postgres.mlflow_database)
    secret = {PASSWORD_VARIABLE: password(server.postgres.password_file)}
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "db", "upgrade", address],
        env={**os.environ, **shared_environment(), **secret},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        remedy = "restore the backup, and see MLflow's release notes"
        raise DatabaseDown(Finding(f"MLflow's schema was not upgraded: {said}", address, "mlflow db upgrade", remedy))
    yield "MLflow's tables are of this version's schema"
