"""`mtac up`: Dagster and MLflow on this machine, until Ctrl-C. Prepares, then leaves the work to `services/`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mtac_assets.cli import output
from mtac_assets.cli.app import app
from mtac_assets.cli.output import Json

if TYPE_CHECKING:
    from mtac_assets.services.supervise import Service
    from mtac_assets.spec.project import Project


@app.command()
def up(json: Json = False) -> None:
    """Start Dagster's pages, its daemon and MLflow on this machine, and keep them up until Ctrl-C."""
    from mtac_assets.services import local
    from mtac_assets.services.ports import require_free
    from mtac_assets.services.supervise import supervise
    from mtac_assets.spec.project import find_project

    project = find_project()
    with local.only_one(project):
        require_free(local.ports(project), f"environments/{project.environment.name}.yaml")
        from mtac_assets.orchestration.instance import environment_variables, prepare_dagster_home

        prepare_dagster_home(project)
        services = local.services(project, environment_variables(project))
        output.note("starting Dagster and MLflow …")

        told: set[str] = set()

        def ready() -> None:
            if json:
                output.emit(_document(project, services))
            else:
                _print_addresses(project, services)
            sys.stdout.flush()
            send_queued(project, told)

        supervise(services, ready=ready, tell=output.note, chore=lambda: send_queued(project, told))
    output.note("all stopped")


def send_queued(project: Project, told: set[str]) -> None:
    """Close what killed runs left open in MLflow, send what is queued and let its aliases follow the ledger.

    What cannot be done is only a warning, said once.
    """
    from mtac_assets.promotion.decide import settle_all
    from mtac_assets.tracking.record import at_start

    warnings = [f"{warning.error}; {warning.remedy}" for warning in at_start(project).warnings]
    warnings += settle_all(project, ask_again=True)  # an alias moved by hand is noticed within a minute
    for words in warnings:
        if words not in told:
            output.note(f"warning: {words}")
    told.clear()
    told.update(warnings)


def _document(project: Project, services: Sequence[Service]) -> dict[str, Any]:
    from mtac_assets.tracking.settings import page_root

    return {
        "schema_version": 1,
        "services": [{"name": entry.name, "url": entry.url, "log": str(entry.log)} for entry in services],
        "mlflow": page_root(project),
    }


def _print_addresses(project: Project, services: Sequence[Service]) -> None:
    from rich.panel import Panel
    from rich.table import Table

    from mtac_assets.tracking.settings import page_root

    table = Table.grid(padding=(0, 2))
    for entry in services:
        if entry.url is not None:
            table.add_row(f"[bold]{entry.name}[/]", f"[link={entry.url}]{entry.url}[/link]")
    if not any(entry.name == "MLflow" for entry in services):
        table.add_row("[bold]MLflow[/]", page_root(project))
    table.add_row("[dim]logs[/]", f"[dim]{project.display(services[0].log.parent)}[/]")
    table.add_row("[dim]stop[/]", "[dim]Ctrl-C[/]")
    output.console().print(Panel(table, title=f"mtac up · {project.environment.name}", expand=False, padding=(1, 2)))
