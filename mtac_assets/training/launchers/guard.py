"""`python -m mtac_assets.training.launchers.guard [--at-once] COMMAND …`: runs one service, or one worker, and ends it with everything that it started.

The guard's standard input is a pipe that nobody writes to. When it closes, the supervisor wants the service to stop, or
is dead, however it died (`kill -9` too): the kernel closes the pipe for it. The guard adopts the descendants whose own
parent ended (Linux: child subreaper), so that a worker of a worker is found and ended as well.

What it runs has some seconds to end by itself, `--at-once` none: for what can lose nothing.

Imports little: there is one guard a service, for as long as that runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

GRACE_SECONDS = 10.0
SWEEP_SECONDS = 3.0
AT_ONCE = "--at-once"
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def main(arguments: list[str]) -> int:
    """Run the command until it ends or standard input closes; returns its exit code, or 128 + signal."""
    at_once = arguments[0] == AT_ONCE
    command = arguments[at_once:]
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    # The terminal's Ctrl-C and a group's SIGTERM are the supervisor's to act on; the pipe then says so here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    service = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_of_service)
    threading.Thread(target=_stop_on_close, args=(service, at_once), daemon=True).start()
    code = service.wait()
    _end_descendants(at_once)
    return code if code >= 0 else 128 - code


def _of_service() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # should the guard itself be killed


def _stop_on_close(service: subprocess.Popen[bytes], at_once: bool) -> None:
    while os.read(0, 4096):
        pass
    _signal_group(service.pid, signal.SIGKILL if at_once else signal.SIGTERM)
    try:
        service.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        _signal_group(service.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _end_descendants(at_once: bool) -> None:
    import psutil

    remaining = psutil.Process().children(recursive=True)
    for process in remaining:
        _tell(process, signal.SIGKILL if at_once else signal.SIGTERM)
    _, stubborn = psutil.wait_procs(remaining, timeout=SWEEP_SECONDS)
    for process in [*stubborn, *psutil.Process().children(recursive=True)]:
        _tell(process, signal.SIGKILL)


def _tell(process: object, number: int) -> None:
    import psutil

    assert isinstance(process, psutil.Process)
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def command_line(command: list[str], *, at_once: bool = False) -> list[str]:
    """The command that runs `command` under a guard, with this Python; `-P` keeps this folder's modules off its path."""
    return [sys.executable, "-P", str(Path(__file__).resolve()), *([AT_ONCE] if at_once else []), *command]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
