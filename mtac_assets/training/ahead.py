"""Child processes begun ahead of need. To load torch takes a child as long as a short training; meanwhile the parent works.

A process waits with the libraries loaded that its module will want, and with the environment variables that they read while
loading. It becomes `python -m MODULE ARGUMENTS` when it is told so, and ends when its parent does. Only libraries are loaded
ahead, never the project's own code: a trainer must hold nothing but what its fingerprint covers. A module that listens is sent
more lines on its standard input; of any other it is closed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mtac_assets.training import nursery
from mtac_assets.training.read_while_loading import decisive

# Runs as `-c`, for a module of ours would be code that the fingerprint does not cover.
WAITING = """
import importlib, json, os, runpy, sys
for name in sys.argv[2:]:
    importlib.import_module(name)
line = sys.stdin.readline()
if not line:
    sys.exit(0)
order = json.loads(line)
if not order["listens"]:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.environ.clear()
os.environ.update(order["environment"])
sys.argv = [order["module"], *order["arguments"]]
runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
"""
_waiting: dict[str, _Waiting] = {}


class _Waiting:
    """One process that waits, and what it was begun with."""

    def __init__(self, child: subprocess.Popen[bytes], root: Path, variables: Mapping[str, str]) -> None:
        self.child, self.root, self.variables = child, root, decisive(variables)

    def fits(self, root: Path, variables: Mapping[str, str]) -> bool:
        return self.child.poll() is None and (self.root, self.variables) == (root, decisive(variables))


def prepare(
    module: str, libraries: Sequence[str], root: Path, variables: Mapping[str, str], *, stderr: int | None = None
) -> None:
    """Begin a process that will be wanted soon as `python -m module` in `root`. One that waits already and fits is kept.

    Where a nursery is open, it forks such processes when they are wanted, and none is begun.
    """
    mothers = nursery.opened()
    if mothers is not None and module in mothers.libraries:
        return
    before = _waiting.get(module)
    if before is not None:
        if before.fits(root, variables):
            return
        dismiss(module)
    child = subprocess.Popen(
        [sys.executable, "-c", WAITING, module, *libraries],  # the module's name shows in a list of processes
        cwd=root,
        env=dict(variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )
    _waiting[module] = _Waiting(child, root, variables)


def take(
    module: str, arguments: Sequence[str], root: Path, variables: Mapping[str, str], *, piped: bool = False
) -> subprocess.Popen[bytes] | nursery.Forked | None:
    """The process that waits for `module`, sent on its way with these arguments, or a fork where a nursery is open; None where
    none waits that fits. `piped`: the caller reads a fork's standard error (one that waits was begun with or without)."""
    mothers = nursery.opened()
    forked = mothers.fork(module, arguments, root, variables, piped=piped) if mothers is not None else None
    return forked or _sent(module, arguments, root, variables, listens=False)


def take_listening(
    module: str, arguments: Sequence[str], root: Path, variables: Mapping[str, str]
) -> subprocess.Popen[bytes] | None:
    """As `take`, but never a fork, and its standard input stays open: it is told more with `tell`."""
    return _sent(module, arguments, root, variables, listens=True)


def _sent(
    module: str, arguments: Sequence[str], root: Path, variables: Mapping[str, str], *, listens: bool
) -> subprocess.Popen[bytes] | None:
    found = _waiting.pop(module, None)
    if found is None:
        return None
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
    """End the process that waits for `module`, where there is one."""
    found = _waiting.pop(module, None)
    if found is not None:
        end(found.child)


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill a process begun here and close what led to it; harmless where it has ended."""
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stderr):
        if stream is not None:
            with suppress(BrokenPipeError):
                stream.close()
