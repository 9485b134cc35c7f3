"""Who writes a recording, told so that a later process can say whether that one still lives.

A process is named by host, boot, process id and start time: an id alone is given out again. Unlike a lease on a result
(`provenance.lease`) this one is never taken over: a recording whose writer is gone is closed.
"""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mtac_assets.provenance.lease import process_started

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Writer:
    """The process that writes. `started` is the kernel's start time in clock ticks since boot."""

    host: str
    boot_id: str
    pid: int
    started: int | None

    @classmethod
    def myself(cls) -> Writer:
        return cls(socket.gethostname(), _boot_id(), os.getpid(), process_started(os.getpid()))

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Writer:
        return cls(**document)

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def alive(self, since: datetime, now: datetime, limit: timedelta) -> bool:
        """Whether the writer may still be at work.

        On another host nobody can look; there it counts as alive until `limit` after `since`, because every run ends
        within its limit.
        """
        if self.host != socket.gethostname():
            return now - since < limit
        return self.boot_id == _boot_id() and process_started(self.pid) == self.started is not None


def _boot_id() -> str:
    return BOOT_ID.read_text().strip()
