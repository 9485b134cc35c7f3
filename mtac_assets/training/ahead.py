"""Child processes begun ahead of need. To load torch takes a child as long as a short training; meanwhile the parent works.

A process waits with the libraries loaded that its module will want, and with the environment variables that they read while
loading. It becomes `python -m MODULE ARGUMENTS` when it is told so, and ends when its parent does. Only libraries are loaded
ahead, never the project's own code: a trainer must hold nothing but what its fingerprint covers. A module that listens is sent
more lines on its standard input; of any other it is closed.

They load in lanes, one a core but the parent's, in the order in which they were begun: else those that are wanted late would take
the parent's own core from it (on two cores half of it).
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from mtac_assets.training import nursery
from mtac_assets.training.read_while_loading import decisive

# Runs as `-c`, for a module of ours would be code that the fingerprint does not cover.
WAITING = """
import fcntl, gc, importlib, json, os, runpy, sys
lanes = int(sys.argv[2])
fcntl.lockf(lanes, fcntl.LOCK_EX, 1, int(sys.argv[3]))
gc.disable()  # what is loaded stays
for name in sys.argv[4:]:
    importlib.import_module(name)
gc.freeze()
gc.enable()
os.close(lanes)  # another one's turn, as it would be by our end
line = sys.stdin.readline()
if not line:
    sys.exit(0)
order = json.loads(line)
if not order["listens"]:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.environ.clear()
os.environ.update(order["environment"])
sys.argv = [order["module"], *order["arguments"]]
sys.orig_argv = [sys.executable, "-m", *sys.argv]
runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
"""
_waiting: dict[str, list[_Waiting]] = {}
_begun = itertools.count()


@lru_cache(maxsize=1)
def _lanes() -> IO[bytes]:
    """A file without a name, of which each lane is a byte: whoever loads in it holds its lock, until its end at the latest."""
    return tempfile.TemporaryFile()


class _Waiting:
    """One process that waits, and what it was begun with."""

    def __init__(self, child: subprocess.Popen[bytes], root: Path, variables: Mapping[str, str]) -> None:
        self.child, self.root, self.variables = child, root, decisive(variables)

    def fits(self, root: Path, variables: Mapping[str, str]) -> bool:
        return self.child.poll() is None and (self.root, self.variables) == (root, decisive(variables))


def prepare(
    module: str,
    libraries: Sequence[str],
    root: Path,
    variables: Mapping[str, str],
    *,
    stderr: int | None = None,
    processes: int = 1,
) -> None:
    """Begin processes that will be wanted soon as `python -m module` in `root`. Those that wait already and fit are kept.

    Where a nursery is open, it forks such processes when they are wanted, and none is begun.
    """
    mothers = nursery.opened()
    if mothers is not None and module in mothers.libraries:
        return
    if any(not each.fits(root, variables) for each in _waiting.get(module, ())):
        dismiss(module)
    waiting = _waiting.setdefault(module, [])
    while len(waiting) < processes:
        lanes, lane = _lanes().fileno(), next(_begun) % max((os.cpu_count() or 1) - 1, 1)
        child = subprocess.Popen(
            # the module's name shows in a list of processes
            [sys.executable, "-c", WAITING, module, str(lanes), str(lane), *libraries],
            cwd=root,
            pass_fds=[lanes],
            env=dict(variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
        waiting.append(_Waiting(child, root, variables))


def take(
    module: str, arguments: Sequence[str], root: Path, variables: Mapping[str, str], *, piped: bool = False
) -> subprocess.Popen[bytes] | nursery.Forked | None:
    """The process that waits for `module`, sent on its way with these arguments, or a fork where a nursery is open; None where
    none waits that fits. `piped`: the caller reads a fork's standard error (one that waits was begun with or without)."""
    mothers = nursery.opened()
    forked = mothers.fork(module, arguments, root, variables, piped=piped) if mothers is not None else None
    return forked or _sent(module, arguments, root, variables, listens=False)


def take_spare(
    module: str, arguments: Sequence[str], root: Path, variables: Mapping[str, str]
) -> subprocess.Popen[bytes] | None:
    """As `take`, but never a fork and never the last one: for a process beside the one that matters."""
    return _sent(module, arguments, root, variables, listens=False) if len(_waiting.get(module, ())) > 1 else None


def take_listening(
    module: str, arguments: Sequence[str], root: Path, variables: Mapping[str, str]
) -> subprocess.Popen[bytes] | None:
    """As `take`, but never a fork, and its standard input stays open: it is told more with `tell`."""
    return _sent(module, arguments, root, variables, listens=True)


def _sent(
    module: str, arguments: Sequence[str], root: Path, variables: Mapping[str, str], *, listens: bool
) -> subprocess.Popen[bytes] | None:
    if not _waiting.get(module):
        return None
    found = _waiting[module].pop()
    if not found.fits(root, variables):
        end(found.child)
        return None
    order = {"module": module, "arguments": list(arguments), "environment": dict(variables), "listens": listens}
    return found.child if tell(found.child, order, last=not listens) else None


def tell(child: subprocess.Popen[bytes], order: Mapping[str, Any], *, last: bool) -> bool:
    """Send one line of JSON; after the `last` one its standard input is closed. False where it has ended: it is cleared away."""
    assert child.stdin is not None
    try:
        child.stdin.write(json.dumps(order).encode() + b"\n")
        child.stdin.flush()
        if last:
            child.stdin.close()
    except BrokenPipeError:
        end(child)
        return False
    return True


def dismiss(module: str) -> None:
    """End the processes that wait for `module`, where there are any."""
    for found in _waiting.pop(module, ()):
        end(found.child)


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a process begun here and close what led to it; harmless where it has ended."""
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
