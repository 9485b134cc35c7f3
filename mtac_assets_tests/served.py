"""The tides as a deployment's project: a server section over a test's own PostgreSQL, everything else in its folder."""

from __future__ import annotations

from pathlib import Path

from mtac_assets.spec.environment import Address, Addresses, Postgres, Server
from mtac_assets.spec.project import Project, find_project
from mtac_assets_tests.free_ports import free_port


def served(project: Project, folder: Path, settings: Postgres) -> Project:
    """`project` with its environment's file changed, so that other processes find the same."""
    addresses = {name: Address(host="127.0.0.1", port=free_port()) for name in Addresses.model_fields}
    server = Server(
        page=f"https://127.0.0.1:{free_port()}",
        postgres=settings,
        repository=str(folder / "repository.git"),
        artifacts=str(folder / "artifacts"),
        listen="127.0.0.1",
        addresses=Addresses(**addresses),
    )
    data = project.environment.data.model_copy(update={"remote": str(folder / "store")})
    changed = project.environment.model_copy(update={"server": server, "state": str(folder / "state"), "data": data})
    (project.environments / f"{changed.name}.yaml").write_text(changed.model_dump_json())
    return find_project(project.root, changed.name)
