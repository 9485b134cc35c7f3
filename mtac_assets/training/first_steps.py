"""The determinism probe beside a first training: another process takes the same first steps, and both must agree in every bit.

The trainer traces its own first steps before it begins, so that this costs one more process while both load torch, and no
waiting: where the two differ the training is ended and the first tensor and operation named. No torch here.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from mtac_assets.provenance.files import read_json
from mtac_assets.spec.errors import Finding
from mtac_assets.training.divergence import first_divergence
from mtac_assets.training.errors import NotDeterministic

STEPS = 2
TRACE, FIRST_TRACE = "trace.json", ".trace.json"
Begin = Callable[[Path, Sequence[str]], "subprocess.Popen[bytes]"]


class FirstSteps:
    """The second process of one first training. `begin` starts a trainer into a folder, with more options."""

    options = ("--trace-first", str(STEPS))

    def __init__(self, out: Path, begin: Begin, end: Callable[[subprocess.Popen[bytes]], None]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mtac-probe-")
        self._second = Path(self._folder.name) / "second"
        self._first = out / FIRST_TRACE
        self._first.unlink(missing_ok=True)
        self._end = end
        self._child = begin(self._second, ("--trace-steps", str(STEPS)))
        self._pending = True

    def look(self) -> None:
        """Compare once both traces are there. Raises NotDeterministic."""
        if self._pending and self._child.poll() is not None and self._first.is_file():
            self._compare()

    def finish(self) -> None:
        """Wait for the second process where it is the slower one. Raises NotDeterministic."""
        if self._pending:
            self._child.wait()
            self._compare()

    def _compare(self) -> None:
        self._pending = False
        trace = self._second / TRACE
        if self._child.returncode != 0 or not trace.is_file():
            raise NotDeterministic(
                Finding(
                    f"the first steps could not be taken a second time: exit code {self._child.returncode}",
                    "the determinism probe before a first training",
                    "two processes that take the same steps",
                    "its own lines above say why; `mtac probe` tries it alone",
                )
            )
        found = first_divergence(read_json(self._first)["entries"], read_json(trace)["entries"])
        self._first.unlink()
        if found is not None:
            raise NotDeterministic(
                Finding(
                    f"the same first steps gave other bits in a second process: {found}",
                    "the determinism probe before a first training",
                    "the same bits from the same recipe, code and data",
                    "draw nothing from an unkeyed source in the model or its features; `mtac probe` shows more steps",
                )
            )

    def __enter__(self) -> FirstSteps:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(self._child)
        self._first.unlink(missing_ok=True)
        self._folder.cleanup()
