"""Ports for the servers that tests start."""

from __future__ import annotations

import random

from mtac_assets.services.ports import is_free

# Below what the kernel lends to outgoing connections: a port from there could be taken between the look and the server.
LOWEST, HIGHEST = 10_000, 32_000
_random = random.SystemRandom()


def free_port() -> int:
    """A port of loopback that nobody listens on, chosen so that tests side by side do not meet."""
    while not is_free(port := _random.randint(LOWEST, HIGHEST)):
        continue
    return port
