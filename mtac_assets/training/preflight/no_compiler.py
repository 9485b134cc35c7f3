"""torch's compiler kept out of a process that never compiles.

A fake tensor asks torch's compiler for two settings, and with them comes all of it: 1.6 s, a third of a preflight. This puts an empty package in
its place, from which its module of settings can be loaded; whoever asks it for another name gets the real one after all, as another torch
than that of constraints.txt might. Only for a process that does nothing else: one that begins to compile would load its parts in an order
that torch does not foresee.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"


class _Empty(ModuleType):
    """A package without content: its modules can be imported, its own names come with the real one."""

    @staticmethod
    def disable(fn: Any = None, recursive: bool = True, **_: Any) -> Any:
        """What torch asks for before it runs a function that must not be compiled: here none is."""
        return fn

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(COMPILER) is self:
            del sys.modules[COMPILER]
        return getattr(importlib.import_module(COMPILER), name)


def keep_compiler_out() -> None:
    """From now on in this process. Nothing where the compiler is loaded already, or is not where it is looked for."""
    torch = importlib.util.find_spec("torch")
    if COMPILER in sys.modules or torch is None or torch.origin is None:
        return
    folder = Path(torch.origin).parent / "_dynamo"
    if (folder / "config.py").is_file():
        package = _Empty(COMPILER)
        package.__path__ = [str(folder)]
        sys.modules[COMPILER] = package
