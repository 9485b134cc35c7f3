"""Child processes by forking one that has loaded the libraries: for whoever starts many, one after the other.

A process that only loads torch takes seconds; a fork of one that has loaded it takes milliseconds and is, from its first own
instruction on, the same process. As in `ahead`, only libraries are loaded before the fork, never the project's own code, and the variables
that libraries read while loading are those of the process that is wanted: each set of them has a mother of its own.
Each child has a guardian that waits for it and tells its end and its CPU seconds; children lead sessions of their own.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from mtac_assets.training.read_while_loading import decisive

# Runs as `-c`, for a module of ours would be code that the fingerprint does not cover.
MOTHER = """
import atexit, gc, importlib, json, os, runpy, signal, socket, sys, threading
orders = socket.socket(fileno=os.dup(0))
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
for name in sys.argv[2:]:
    importlib.import_module(name)
gc.collect()
gc.freeze()  # what is loaded stays: a child's collector need not touch, and so copy, the pages that it shares with its mother
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    data, fds, _, _ = socket.recv_fds(orders, 1, 2)
    if not data:
        os._exit(0)
    length = int.from_bytes(orders.recv(4, socket.MSG_WAITALL), "big")
    order = json.loads(orders.recv(length, socket.MSG_WAITALL))
    told, stderr = fds
    if os.fork():
        os.close(told); os.close(stderr)
        continue
    orders.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:
        os.close(stderr)
        os.write(told, json.dumps({"pid": child}).encode() + b"\\n")
        _, status, used = os.wait4(child, 0)
        end = {"code": os.waitstatus_to_exitcode(status), "cpu_seconds": used.ru_utime + used.ru_stime}
        os.write(told, json.dumps(end).encode() + b"\\n")
        os._exit(0)
    os.close(told)
    os.setsid()
    os.dup2(stderr, 2); os.close(stderr)
    break
os.environ.clear()
os.environ.update(order["environment"])
sys.argv = [order["module"], *order["arguments"]]
code = 0
try:
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
except SystemExit as end:
    code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    if code == 1 and not isinstance(end.code, int):
        print(end.code, file=sys.stderr)
except BaseException:
    sys.excepthook(*sys.exc_info())
    code = 1
for thread in threading.enumerate():
    if thread is not threading.main_thread() and not thread.daemon:
        thread.join()
# Taking all that is loaded apart again costs as long as the work did.
atexit._run_exitfuncs()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
"""


class Forked:
    """A child as `subprocess.Popen` would show it. `stderr` is to be read, or None where it is our own."""

    stdin = None

    def __init__(self, told: int, stderr: IO[bytes] | None, mother: Nursery) -> None:
        self._told = os.fdopen(told, "rb", buffering=0)
        self._mother = mother
        self._buffer = b""
        self.stderr = stderr
        self.returncode: int | None = None
        first = self._line(None)
        self.pid: int = json.loads(first)["pid"] if first else 0
        if not first:
            self.returncode = -signal.SIGKILL

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            line = self._line(timeout)
            end = json.loads(line) if line else {"code": -signal.SIGKILL, "cpu_seconds": 0.0}  # its guardian is gone
            self.returncode = end["code"]
            self._mother.cpu_seconds += end["cpu_seconds"]
            self._told.close()
        assert self.returncode is not None
        return self.returncode

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def _line(self, timeout: float | None) -> bytes:
        until = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._buffer:
            left = None if until is None else max(until - time.monotonic(), 0.0)
            if not select.select([self._told], [], [], left)[0]:
                raise subprocess.TimeoutExpired("a forked child", timeout or 0.0)
            data = self._told.read(4096)
            if not data:
                return b""
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


@dataclass
class Nursery:
    """`libraries`: module to what it will want loaded. Only children of these modules come from here."""

    libraries: Mapping[str, Sequence[str]]
    cpu_seconds: float = 0.0
    _mothers: dict[tuple[str, str, str], tuple[subprocess.Popen[bytes], socket.socket]] = field(default_factory=dict)

    def fork(
        self, module: str, arguments: Sequence[str], root: Path, variables: Mapping[str, str], *, piped: bool
    ) -> Forked | None:
        """`python -m module arguments` in `root`; None where the module is none of ours. `piped`: standard error is read by us."""
        if module not in self.libraries:
            return None
        orders = self._mother(module, root, variables)
        told, tell = os.pipe()
        reading, writing = os.pipe() if piped else (None, os.dup(2))
        order = json.dumps({"module": module, "arguments": list(arguments), "environment": dict(variables)}).encode()
        try:
            socket.send_fds(orders, [b"o"], [tell, writing])
            orders.sendall(len(order).to_bytes(4, "big") + order)
        finally:
            os.close(tell)
            os.close(writing)
        return Forked(told, os.fdopen(reading, "rb") if reading is not None else None, self)

    def _mother(self, module: str, root: Path, variables: Mapping[str, str]) -> socket.socket:
        key = (module, str(root), json.dumps(decisive(variables), sort_keys=True))
        known = self._mothers.get(key)
        if known is not None and known[0].poll() is None:
            return known[1]
        ours, theirs = socket.socketpair()
        mother = subprocess.Popen(
            [sys.executable, "-c", MOTHER, module, *self.libraries[module]],
            cwd=root,
            env=dict(variables),
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._mothers[key] = mother, ours
        return ours

    def close(self) -> None:
        for mother, orders in self._mothers.values():
            orders.close()
            mother.wait()
        self._mothers.clear()


_open: list[Nursery] = []


@contextmanager
def nursery(libraries: Mapping[str, Sequence[str]]) -> Iterator[Nursery]:
    """Within the block, children of these modules are forked. Its mothers end with it, or with this process."""
    made = Nursery(libraries)
    _open.append(made)
    try:
        yield made
    finally:
        _open.remove(made)
        made.close()


def opened() -> Nursery | None:
    """The nursery that is open in this process."""
    return _open[-1] if _open else None
