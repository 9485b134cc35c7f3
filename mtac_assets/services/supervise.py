"""Keeping local processes up for as long as one command runs, and none of them a moment longer.

A service that dies before it ever answered is an error of its own and brings the others down. One that dies later is
started again, after growing pauses; if it keeps dying all are brought down, and the reason is told with the end of its
log. Knows nothing of Dagster or MLflow (`local.py` does).
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding, MtacError
from mtac_assets.training.launchers.guard import command_line

START_SECONDS = 120.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.2
PAUSES = (1.0, 2.0, 4.0, 8.0)  # before each new start; a service that dies once more is given up
STEADY_SECONDS = 120.0  # a service that ran this long has earned all its pauses again
CHORE_SECONDS = 60.0
LOG_LINES = 15


class ServiceFailed(MtacError):
    """A service did not come up, or would not stay up; the others were stopped."""

    exit_code = 1


@dataclass(frozen=True)
class Service:
    """One process to keep up: its command, where it runs, where its output goes, and how to see that it works."""

    name: str
    command: Sequence[str]
    folder: Path
    log: Path
    environment: Mapping[str, str]
    healthy: Callable[[], bool]
    url: str | None = None


@dataclass
class _Life:
    service: Service
    process: subprocess.Popen[bytes]
    since: float
    deaths: int = 0
    start_again_at: float | None = field(default=None)


def supervise(
    services: Sequence[Service],
    *,
    ready: Callable[[], None],
    tell: Callable[[str], None],
    chore: Callable[[], None] = lambda: None,
) -> None:
    """Start all services, call `ready` once all are healthy, and keep them up until SIGINT, SIGTERM or SIGHUP.

    `tell` gets a line for people at each death and restart; `chore` is called once a minute. Whatever ends this call,
    no process of a service is left. Raises ServiceFailed. Call it from the main thread: it handles signals.
    """
    lives: list[_Life] = []
    with _signals() as stop:
        try:
            for service in services:
                lives.append(_Life(service, _start(service), time.monotonic()))  # noqa: PERF401  one by one: a failure stops those before
            if _all_healthy(lives, stop):
                ready()
            _keep_up(lives, stop, tell, chore)
        finally:
            _stop_all(lives)


@contextmanager
def _signals() -> Iterator[threading.Event]:
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield stop
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _start(service: Service) -> subprocess.Popen[bytes]:
    service.log.parent.mkdir(parents=True, exist_ok=True)
    with service.log.open("ab") as log:
        log.write(f"\n=== {clock.timestamp()} {' '.join(service.command)}\n".encode())
        log.flush()
        return subprocess.Popen(
            command_line(list(service.command)),
            cwd=service.folder,
            env={**os.environ, **service.environment},
            stdin=subprocess.PIPE,  # closing it is how a service is told to stop
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C reaches the supervisor alone
        )


def _all_healthy(lives: list[_Life], stop: threading.Event) -> bool:
    """Wait until every service answers; False where the user was quicker. Raises ServiceFailed."""
    deadline = time.monotonic() + START_SECONDS
    waiting = list(lives)
    while waiting and not stop.is_set():
        for life in lives:
            if life.process.poll() is not None:
                raise _failed(life, f"ended with exit code {life.process.returncode} before it answered")
        waiting = [life for life in waiting if not life.service.healthy()]
        if waiting and time.monotonic() > deadline:
            raise _failed(waiting[0], f"did not answer within {START_SECONDS:.0f} s")
        stop.wait(POLL_SECONDS)
    return not stop.is_set()


def _keep_up(lives: list[_Life], stop: threading.Event, tell: Callable[[str], None], chore: Callable[[], None]) -> None:
    next_chore = time.monotonic() + CHORE_SECONDS
    while not stop.wait(POLL_SECONDS):
        for life in lives:
            _look_after(life, tell)
        if time.monotonic() > next_chore:
            chore()
            next_chore = time.monotonic() + CHORE_SECONDS


def _look_after(life: _Life, tell: Callable[[str], None]) -> None:
    now = time.monotonic()
    if life.start_again_at is not None:
        if now >= life.start_again_at:
            life.process, life.since, life.start_again_at = _start(life.service), now, None
        return
    code = life.process.poll()
    if code is None:
        return
    life.deaths = 1 if now - life.since > STEADY_SECONDS else life.deaths + 1
    if life.deaths > len(PAUSES):
        raise _failed(life, f"ended with exit code {code}, {life.deaths} times in a row")
    pause = PAUSES[life.deaths - 1]
    _release(life.process)
    life.start_again_at = now + pause
    tell(
        f"{life.service.name} ended with exit code {code}; starting it again in {pause:.0f} s (log: {life.service.log})"
    )


def _stop_all(lives: list[_Life]) -> None:
    for life in lives:
        _release(life.process)
    deadline = time.monotonic() + STOP_SECONDS
    for life in lives:
        try:
            life.process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            life.process.kill()  # its service gets SIGTERM from the kernel
            life.process.wait()


def _release(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _failed(life: _Life, what: str) -> ServiceFailed:
    log = life.service.log
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:] if log.exists() else []
    return ServiceFailed(
        Finding(
            f"{life.service.name} {what}:\n" + "\n".join(f"    {line}" for line in lines),
            str(log),
            f"{life.service.name} to come up and stay up",
            "read the log above; the other services were stopped",
        )
    )
