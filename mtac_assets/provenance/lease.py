"""Leases with fencing tokens: at most one worker may commit a result, and one that was given up for dead may not.

A lease is a small JSON document changed under an exclusive file lock. Taking it over raises its token; a commit runs
inside `Lease.fence()`, which holds the lock and refuses when the token has moved on (Kleppmann, "How to do distributed
locking", 2016). Liveness is judged by the holder's process on the same host and by the time of its last renewal
elsewhere: `Lease.kept()` renews while the work goes on. Nobody waits for ever: a worker that was halted in the middle of a
commit keeps the lock, and whoever asks is told so.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mtac_assets.provenance.beside import Enough, beside
from mtac_assets.provenance.files import read_json, write_json
from mtac_assets.provenance.turns import turn
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding, MtacError

DEFAULT_TTL = timedelta(seconds=120)
WAIT_SECONDS = 10.0  # most commits take less; whoever asks during a longer one is refused, as by any holder at work


class LeaseHeld(MtacError):
    """Somebody else is at work on the same result."""


class LeaseLost(MtacError):
    """The lease was taken over while this worker was thought dead; its result must not be committed."""


@dataclass(frozen=True)
class Lease:
    """The right to commit one result. `token` grows by one each time the lease changes hands."""

    path: Path
    token: int
    holder: str

    @contextmanager
    def fence(self) -> Generator[None]:
        """Commit inside this block: nobody can take the lease meanwhile. LeaseLost when somebody already has."""
        with _locked(self.path):
            document = _read(self.path)
            if document is None or document["token"] != self.token:
                raise LeaseLost(
                    Finding(
                        f"the lease passed from {self.holder} to {document['holder'] if document else 'nobody'}",
                        str(self.path),
                        f"token {self.token}, found {document['token'] if document else 'none'}",
                        "nothing to do: the worker that holds it now commits the same result",
                    )
                )
            yield

    def renew(self) -> None:
        """Say that this worker is alive; LeaseLost when the lease has been taken over."""
        with self.fence():
            write_json(self.path, _document(self.token, self.holder))

    @contextmanager
    def kept(self, every: timedelta = DEFAULT_TTL / 4) -> Generator[None]:
        """Renewed in a thread while the block works, so that no other host takes it for dead. It ends by itself once the
        lease is lost, which the next commit finds out."""

        def renew() -> None:
            try:
                self.renew()
            except LeaseHeld:
                pass  # a commit of our own is under way
            except LeaseLost as error:
                raise Enough from error

        with beside(renew, every.total_seconds(), "lease"):
            yield

    def release(self) -> None:
        """Give the lease back; the token stays, so that a late worker is still refused."""
        with _locked(self.path):
            document = _read(self.path)
            if document is not None and document["token"] == self.token:
                write_json(self.path, document | {"released": True})


def acquire(path: Path, *, ttl: timedelta = DEFAULT_TTL) -> Lease:
    """Take the lease kept at `path`: free, released, or its holder dead or silent for longer than `ttl`."""
    with _locked(path):
        document = _read(path)
        if document is not None and not document["released"] and _alive(document, ttl):
            raise LeaseHeld(
                Finding(
                    f"{document['holder']} has been at work on this since {document['since']}",
                    str(path),
                    "one worker a result",
                    "wait for it, or stop it; a dead worker's lease is taken over by itself",
                )
            )
        token = 1 if document is None else document["token"] + 1
        holder = f"{socket.gethostname()}:{os.getpid()}"
        write_json(path, _document(token, holder))
        return Lease(path, token, holder)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """The lock of the lease at `path`. LeaseHeld where another worker keeps it for longer than a commit takes."""
    with turn(path.with_name(path.name + ".lock"), WAIT_SECONDS) as ours:
        if not ours:
            document = _read(path)
            raise LeaseHeld(
                Finding(
                    f"{document['holder'] if document else 'a worker'} has been in the middle of a commit for "
                    f"{WAIT_SECONDS:g} s",
                    str(path),
                    "one worker a result",
                    "wait for it; where that process was halted (SIGSTOP, a frozen container), let it go on or end it",
                )
            )
        yield


def _read(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.exists() else None


def _document(token: int, holder: str) -> dict[str, Any]:
    now = clock.timestamp()
    host, pid = holder.rsplit(":", 1)
    return {
        "schema_version": 1,
        "token": token,
        "holder": holder,
        "host": host,
        "pid": int(pid),
        "started": process_started(int(pid)),
        "since": now,
        "renewed": now,
        "released": False,
    }


def _alive(document: dict[str, Any], ttl: timedelta) -> bool:
    if document["host"] == socket.gethostname():
        # The start time tells a process from a later one under the same number.
        return process_started(document["pid"]) == document["started"] is not None
    return clock.now() - datetime.fromisoformat(document["renewed"]) < ttl


def process_started(pid: int) -> int | None:
    """The kernel's start time of a process in clock ticks since boot, None where there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[19])
