"""One examination of all parts, in the order in which one rests on the other."""

from __future__ import annotations

from collections.abc import Iterator

from mtac_assets.doctor import engines, machine, records
from mtac_assets.doctor.part import Examine, Part
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.project import Project

PARTS: dict[str, Examine] = {
    "versions": machine.installed,
    "state": machine.state,
    "disk": machine.room,
    "clock": machine.time,
    "git": records.git,
    "ledger": records.decisions,
    "approvals": records.approvals,
    "remote": records.remote,
    "dagster": engines.dagster,
    "mlflow": engines.mlflow,
    "ports": engines.ports,
}


def examine(project: Project) -> Iterator[Part]:
    """Each part as it is examined. One that cannot be is bad, with the reason; the others are examined all the same."""
    for name, look in PARTS.items():
        try:
            yield look(project)
        except MtacError as error:
            yield Part(name, "cannot be examined", error.findings)
