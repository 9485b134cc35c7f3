"""Child processes by forking one that has loaded the libraries: for whoever starts many, one after the other.

A process that only loads torch takes seconds; a fork of one that has loaded it takes milliseconds and is, from its first own
instruction on, the same process. As in `ahead`, only libraries are loaded before the fork, never the project's own code, and the variables
that libraries read while loading are those of the process that is wanted: each set of them has a mother of its own.
Each child has a guardian that waits for it and tells its end and what it has used; children lead sessions of their own.

Modules that `stay` are not forked: one process does what is asked of them, one order after the other, and loads its own code once.
For those that only read and compute (scores, reports), never for a training, which is a new process by its identity.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from mtac_assets.provenance.usage import Usage
from mtac_assets.training.read_while_loading import decisive

COMMON = (
    "pydantic",
    "ruamel.yaml",
    "numpy",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.dataset",
    "fsspec",
    "scipy.special",
)
"""Beside what a child wants while it waits to be told: what every child of ours loads at its start."""

# Runs as `-c`, for a module of ours would be code that the fingerprint does not cover.
MOTHER = """
import atexit, gc, importlib, json, os, resource, runpy, signal, socket, sys, threading
orders = socket.socket(fileno=os.dup(0))
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
gc.disable()  # what is loaded stays
stays = sys.argv[2] == "stays"
for name in sys.argv[3:]:
    importlib.import_module(name)
gc.collect()
gc.freeze()  # a child's collector need not touch, and so copy, the pages that it shares with its mother
gc.enable()
streams = (os.dup(1), os.dup(2)) if stays else ()  # a fork that lives on must not hold its mother's

def tell(told, document):
    os.write(told, json.dumps(document).encode() + b"\\n")

def spent(used):
    return {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_memory_bytes": used.ru_maxrss * 1024,
            "bytes_written": used.ru_oublock * 512}

def outcome(work):
    try:
        return work()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1

def do(order, told, stderr, stdout):
    tell(told, {"pid": os.getpid()})
    before = spent(resource.getrusage(resource.RUSAGE_SELF))
    os.dup2(stdout, 1); os.close(stdout)
    os.dup2(stderr, 2); os.close(stderr)
    os.environ.clear()
    os.environ.update(order["environment"])
    code = outcome(lambda: importlib.import_module(order["module"] + ".__main__").main(order["arguments"]))
    signal.setitimer(signal.ITIMER_REAL, 0)  # a limit was that order's
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(streams[0], 1)
    os.dup2(streams[1], 2)
    after = spent(resource.getrusage(resource.RUSAGE_SELF))
    own_share = {name: after[name] - before[name] for name in ("cpu_seconds", "bytes_written")}
    tell(told, {"code": code, **after, **own_share})
    os.close(told)

if not stays:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    data, fds, _, _ = socket.recv_fds(orders, 1, 3)
    if not data:
        os._exit(0)
    length = int.from_bytes(orders.recv(4, socket.MSG_WAITALL), "big")
    order = json.loads(orders.recv(length, socket.MSG_WAITALL))
    told, stderr, stdout = fds
    if stays:
        do(order, told, stderr, stdout)
        continue
    if os.fork():
        os.close(told); os.close(stderr); os.close(stdout)
        continue
    orders.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child:
        os.close(stderr); os.close(stdout)
        tell(told, {"pid": child})
        _, status, used = os.wait4(child, 0)
        tell(told, {"code": os.waitstatus_to_exitcode(status), **spent(used)})
        os._exit(0)
    os.close(told)
    os.setsid()
    os.dup2(stderr, 2); os.close(stderr)
    os.dup2(stdout, 1); os.close(stdout)
    break
os.chdir(order["root"])  # the one that it began in may be another one of that name
os.environ.clear()
os.environ.update(order["environment"])
sys.argv = [order["module"], *order["arguments"]]
sys.orig_argv = [sys.executable, "-m", *sys.argv]
code = outcome(lambda: runpy.run_module(order["module"], run_name="__main__", alter_sys=True) and 0)
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
    """A child as `subprocess.Popen` would show it. `stderr` is to be read, or None where it is our own; `stdout` is to be read, or
    None where nobody does. `stays`: the process that does this order and others, where it is no fork."""

    stdin = None

    def __init__(
        self,
        told: int,
        stderr: IO[bytes] | None,
        stdout: IO[bytes] | None,
        mother: Nursery,
        stays: subprocess.Popen[bytes] | None,
    ) -> None:
        self._told = os.fdopen(told, "rb", buffering=0)
        self._mother = mother
        self._stays = stays
        self._buffer = b""
        self._heard: dict[IO[bytes], bytearray] = {}
        self.stderr, self.stdout = stderr, stdout
        self.returncode: int | None = None
        self.pid = 0

    def begun(self, timeout: float | None) -> bool:
        """Wait for it to come to life; False where its mother has ended before. Raises subprocess.TimeoutExpired."""
        first = self._line(timeout)
        self.pid = json.loads(first)["pid"] if first else 0
        return bool(first)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            line = self._line(timeout)
            end = json.loads(line) if line else {"code": self._untold()}
            self.returncode = end.pop("code")
            self._mother.account(Usage(**end))
            self._told.close()
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        """All of standard output and standard error, once it has ended. Raises subprocess.TimeoutExpired; nothing heard is lost."""
        assert self.stdout is not None
        assert self.stderr is not None
        until = None if timeout is None else time.monotonic() + timeout
        streams = (self.stdout, self.stderr)
        self._heard = self._heard or {stream: bytearray() for stream in streams}
        while reading := [stream for stream in streams if not stream.closed]:
            left = None if until is None else max(until - time.monotonic(), 0.0)
            ready = select.select(reading, [], [], left)[0]
            if not ready:
                raise subprocess.TimeoutExpired("a forked child", timeout or 0.0)
            for stream in ready:
                data = os.read(stream.fileno(), 1 << 16)
                self._heard[stream] += data
                if not data:
                    stream.close()
        self.wait(None if until is None else max(until - time.monotonic(), 0.0))
        output, said = (bytes(self._heard[stream]) for stream in streams)
        return output, said

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def _untold(self) -> int:
        """The exit code where nobody is left to tell it: of the process that stayed, or that of a fork whose guardian is gone."""
        return -signal.SIGKILL if self._stays is None else self._stays.wait()

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
    """`libraries`: module to what it will want loaded. Only children of these modules come from here. `stay`: those of them whose
    `__main__.main(arguments)` is called again and again in one process. `used`: by those that have ended, whom this process has not
    waited for itself; the memory is the largest one's."""

    libraries: Mapping[str, Sequence[str]]
    stay: Collection[str] = ()
    used: Usage = field(default_factory=Usage)
    _mothers: dict[tuple[str, str, str], tuple[subprocess.Popen[bytes], socket.socket]] = field(default_factory=dict)
    _ordering: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, module: str, root: Path, variables: Mapping[str, str]) -> None:
        """Begin the mother of these children, to load the libraries before the first of them is wanted."""
        with self._ordering:
            self._mother(module, root, variables)

    def account(self, used: Usage) -> None:
        """One more child has ended."""
        with self._ordering:
            self.used = self.used.then(used)

    def fork(
        self,
        module: str,
        arguments: Sequence[str],
        root: Path,
        variables: Mapping[str, str],
        *,
        piped: bool,
        answers: bool = False,
        seconds: float | None = None,
    ) -> Forked | None:
        """`python -m module arguments` in `root`; None where the module is none of ours, or its libraries cannot be loaded. `piped`:
        standard error is read by us; `answers`: so is standard output, which else goes nowhere. Raises subprocess.TimeoutExpired
        where the libraries are not loaded within `seconds`."""
        if module not in self.libraries:
            return None
        told, tell = os.pipe()
        hearing, saying = os.pipe() if piped else (None, os.dup(2))
        reading, writing = os.pipe() if answers else (None, os.open(os.devnull, os.O_WRONLY))
        told_it = {"module": module, "arguments": list(arguments), "environment": dict(variables), "root": str(root)}
        order = json.dumps(told_it).encode()
        stays = None
        try:
            with (
                self._ordering,
                suppress(BrokenPipeError, ConnectionResetError),
            ):  # it says no more: as a child that never was
                mother, orders = self._mother(module, root, variables)
                stays = mother if module in self.stay else None
                socket.send_fds(orders, [b"o"], [tell, saying, writing])
                orders.sendall(len(order).to_bytes(4, "big") + order)
        finally:
            for end in (tell, saying, writing):
                os.close(end)
        streams = [os.fdopen(each, "rb") if each is not None else None for each in (hearing, reading)]
        child = Forked(told, streams[0], streams[1], self, stays)
        try:
            return child if child.begun(seconds) else None
        except subprocess.TimeoutExpired:
            self.close()  # then none comes to life any more
            if child.begun(None):
                os.killpg(child.pid, signal.SIGKILL)
            raise

    def _mother(
        self, module: str, root: Path, variables: Mapping[str, str]
    ) -> tuple[subprocess.Popen[bytes], socket.socket]:
        key = (module, str(root), json.dumps(decisive(variables), sort_keys=True))
        known = self._mothers.get(key)
        if known is not None and known[0].poll() is None:
            return known
        ours, theirs = socket.socketpair()
        mother = subprocess.Popen(
            [
                sys.executable,
                "-c",
                MOTHER,
                module,
                "stays" if module in self.stay else "forks",
                *self.libraries[module],
            ],
            cwd=root,
            env=dict(variables),
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._mothers[key] = mother, ours
        return self._mothers[key]

    def close(self) -> None:
        for mother, orders in self._mothers.values():
            orders.close()
            mother.kill()  # it may be loading still
            mother.wait()
        self._mothers.clear()


_open: list[Nursery] = []


@contextmanager
def nursery(libraries: Mapping[str, Sequence[str]], stay: Collection[str] = ()) -> Iterator[Nursery]:
    """Within the block, children of these modules are forked, or `stay`. Their mothers end with it, or with this process."""
    made = Nursery(libraries, stay)
    _open.append(made)
    try:
        yield made
    finally:
        _open.remove(made)
        made.close()


def opened() -> Nursery | None:
    """The nursery that is open in this process."""
    return _open[-1] if _open else None


def forking(module: str) -> Nursery | None:
    """The nursery that is open in this process, where it forks the children of `module`."""
    found = opened()
    return found if found is not None and module in found.libraries and module not in found.stay else None
