"""What goes wrong with MLflow: it cannot be used as configured, it does not answer, or it says no."""

from __future__ import annotations

from mtac_assets.spec.errors import Finding, MtacError


class TrackingError(MtacError):
    """MLflow cannot be used as the environment config says."""


class Unreachable(TrackingError):
    """MLflow does not answer, or not usefully; what was to be recorded stays queued and is tried again."""


class Refused(TrackingError):
    """MLflow looked at a request and said no; asking again would get the same answer."""


def unreachable(where: str, reason: str) -> Unreachable:
    return Unreachable(
        Finding(
            f"MLflow cannot be reached ({reason})",
            where,
            "an MLflow that answers",
            "nothing is lost: what was to be recorded is queued, and the next mtac command that writes sends it",
        )
    )
