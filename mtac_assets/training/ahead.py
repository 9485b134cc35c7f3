"""Child processes begun ahead of need. To load torch takes a child as long as a short training; meanwhile the parent works.

A process waits with the libraries loaded that its module will want, and with the environment variables that they read while
loading. It becomes `python -m MODULE ARGUMENTS` when it is told so, and ends when its parent does. Only libraries are loaded
ahead, never the project's own code: a trainer must hold nothing but what its fingerprint covers.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

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
    if mothers is not None:
        forked = mothers.fork(module, arguments, root, variables, piped=piped)
        if forked is not None:
            return forked
    found = _waiting.pop(module, None)
    if found is None:
        return None
    if not found.fits(root, variables):
        _end(found.child)
        return None
    order = {"module": module, "arguments": list(arguments), "environment": dict(variables)}
    assert found.child.stdin is not None
    try:
        found.child.stdin.write(json.dumps(order).encode() + b"\n")
        found.child.stdin.close()
    except BrokenPipeError:
        _end(found.child)
        return None
    return found.child


def dismiss(module: str) -> None:
    """End the process that waits for `module`, where there is one."""
    found = _waiting.pop(module, None)
    if found is not None:
        _end(found.child)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stderr):
        if stream is not None:
            stream.close()
