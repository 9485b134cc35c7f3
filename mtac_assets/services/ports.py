"""Whether the ports that the environment names are free, and who has them where they are not."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from mtac_assets.spec.errors import Finding, MtacError, raise_all

LOOPBACK = "127.0.0.1"


class PortTaken(MtacError):
    """A port that a service needs is in use."""


def require_free(ports: Mapping[str, int], config: str) -> None:
    """Raise PortTaken with a finding for every port in use. `ports` maps the name in `config` to the number."""
    raise_all(PortTaken, [_taken(name, port, config) for name, port in ports.items() if not is_free(port)])


def is_free(port: int) -> bool:
    """Whether a server could listen on loopback; a port that a closed connection still lingers on is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def owner(port: int) -> str | None:
    """`python (process 4711)`: who listens on `port`, where the system lets us know."""
    import psutil

    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        return None
    for connection in connections:
        listening = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listening and connection.pid is not None:
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                return None
    return None


def _taken(name: str, port: int, config: str) -> Finding:
    who = owner(port)
    return Finding(
        f"port {port} is taken" + (f" by {who}" if who else ""),
        f"{config}: ports.{name}",
        f"a free port on {LOOPBACK} for {name}",
        "end that process, or name another port in the environment config",
    )
