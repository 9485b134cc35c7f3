"""Who of several workers is still there: each answers a question by datagram from a thread of its own, whatever its main thread does.

Only asked when something went wrong, so it costs a step nothing. torch's store would know too, but where the worker that keeps it hangs,
asking it hangs as well, with the interpreter's lock held.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

INTERVAL = 0.2
Address = tuple[str, int]


@dataclass(frozen=True)
class Sign:
    """What a worker answers: the step whose exchange it came to last, and whether it noticed that something is wrong."""

    step: int
    noticed: bool


class Liveness:
    """One worker's answers. `step` and `noticed` are set by the worker."""

    def __init__(self, meeting_point: Address) -> None:
        """`meeting_point` is any address of the first worker's machine: it says by which of our own addresses others reach us."""
        self.step, self.noticed = -1, False
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(meeting_point)  # sends nothing
            own = probe.getsockname()[0]
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((own, 0))
        self.address: Address = self._socket.getsockname()
        threading.Thread(target=self._answer, name="liveness", daemon=True).start()

    def _answer(self) -> None:
        while True:
            try:
                _, asker = self._socket.recvfrom(64)
                self._socket.sendto(json.dumps([self.step, self.noticed]).encode(), asker)
            except OSError:
                return  # closed

    def close(self) -> None:
        self._socket.close()


def ask(others: Mapping[int, Address], seconds: float) -> dict[int, Sign]:
    """The last answer of each that answers within `seconds`; ends early once all of them have noticed."""
    found: dict[int, Sign] = {}
    end = time.monotonic() + seconds
    ranks = {address: rank for rank, address in others.items()}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(INTERVAL)
        while time.monotonic() < end and not (
            len(found) == len(others) and all(sign.noticed for sign in found.values())
        ):
            for address in others.values():
                asking.sendto(b"?", address)
            again = time.monotonic() + INTERVAL
            while time.monotonic() < again:
                try:
                    answer, sender = asking.recvfrom(64)
                except OSError:  # nothing came, or the other's port is closed
                    break
                if sender in ranks:
                    step, noticed = json.loads(answer)
                    found[ranks[sender]] = Sign(step, noticed)
    return found
