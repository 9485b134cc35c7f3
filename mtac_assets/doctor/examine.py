"""One examination of all parts, in the order in which one rests on the other."""

from __future__ import annotations

from collections.abc import Iterator

from mtac_assets.doctor import engines, machine, records, server
from mtac_assets.doctor.part import Examine, Part
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.project import Project

EVERYWHERE: dict[str, Examine] = {
    "versions": machine.installed,
    "state": machine.state,
    "disk": machine.room,
    "clock": machine.time,
    "git": records.git,
    "ledger": records.decisions,
    "approvals": records.approvals,
    "signing": records.signing,
    "remote": records.remote,
    "mlflow": engines.mlflow,
}
EMBEDDED: dict[str, Examine] = {"dagster": engines.dagster, "ports": engines.ports}


def parts_of(project: Project) -> dict[str, Examine]:
    """What there is to examine: on one machine the embedded engines, in a deployment its services."""
    return EVERYWHERE | (server.PARTS if project.environment.server is not None else EMBEDDED)


def examine(project: Project) -> Iterator[Part]:
    """Each part as it is examined. One that cannot be is bad, with the reason; the others are examined all the same."""
    for name, look in parts_of(project).items():
        try:
            yield look(project)
        except MtacError as error:
            yield Part(name, "cannot be examined", error.findings)
