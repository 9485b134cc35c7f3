"""The engines: Dagster's databases, MLflow, and the ports that `mtac up` takes."""

from __future__ import annotations

from mtac_assets.doctor.part import Part
from mtac_assets.orchestration.home_check import databases, problems_of
from mtac_assets.services.ports import is_free, owner
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project
from mtac_assets.tracking import outbox
from mtac_assets.tracking.connection import connected
from mtac_assets.tracking.settings import is_server, tracking_uri


def dagster(project: Project) -> Part:
    """Dagster's databases: whole, and of the schema that the installed version writes."""
    found = databases(project)
    if not found:
        return Part("dagster", "no database yet; the first run makes it")
    problems = [finding for database in found for finding in problems_of(database)]
    return Part(
        "dagster", f"{len(found)} databases are whole and of this version's schema" if not problems else "", problems
    )


def mlflow(project: Project) -> Part:
    """Whether MLflow answers, and whether recordings wait for it. Raises Unreachable."""
    uri = tracking_uri(project)
    waiting = len(outbox.recordings(project.state.outbox))
    worries = [
        Finding(
            f"{waiting} recordings wait to be delivered to MLflow",
            str(project.state.outbox),
            "none: each mtac command delivers what it can",
            "run any mtac command that trains or decides, and read its warnings",
        )
    ] if waiting else []  # fmt: skip
    if not is_server(uri) and not project.state.mlflow.exists():
        return Part("mlflow", "no database yet; the first run makes it", (), worries)
    with connected(project, "mtac doctor") as client:
        count = len(client.search_experiments(max_results=1000))
    return Part("mlflow", f"answers; {count} experiments", (), worries)


def ports(project: Project) -> Part:
    """Whether the ports of `mtac up` are free, or taken by whom."""
    wanted = project.environment.ports.model_dump()
    taken = {name: port for name, port in wanted.items() if not is_free(port)}
    worries = [
        Finding(
            f"port {port} is in use by {owner(port) or 'another process'}",
            f"ports.{name} of the environment",
            "a free port, or `mtac up` of this project",
            f"end that process, or choose another ports.{name}",
        )
        for name, port in taken.items()
    ]
    free = ", ".join(f"{name} {port}" for name, port in wanted.items() if name not in taken)
    return Part("ports", f"free: {free}" if free else "none of them is free", (), worries)
