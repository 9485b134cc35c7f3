"""What a training has used of the machine, over all of its attempts: an interrupted one is not forgotten when the next goes on.

Belongs here: keeping count beside the pack while it is trained. How usage is measured and priced: `provenance.usage`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.files import write_json
from mtac_assets.provenance.usage import Usage
from mtac_assets.training.workers import Workers

FILE = ".usage.json"
EVERY_SECONDS = 5.0


class Spent:
    """A sink of progress that keeps `.usage.json` up to date, and on the first worker knows what earlier attempts used.

    What an attempt that was killed used after its last line there is lost. Of several workers such an attempt's count is
    the first one's, times their number: the others do the same steps.
    """

    def __init__(self, out: Path, workers: Workers, device: str, began: float) -> None:
        self._path, self._workers, self._gpus, self._began = out / FILE, workers, int(device == "cuda"), began
        found = read_object(self._path)
        self.attempts = (found["attempts"] if found else 0) + 1
        self.earlier = Usage.read(found["usage"]) if found else Usage()
        self._sealed = False
        self._write()

    def record(self, record: dict[str, Any]) -> None:
        if not self._sealed and time.monotonic() - self._written > EVERY_SECONDS:
            self._write()

    def note(self, text: str) -> None:
        pass

    def close(self) -> None:
        """The attempt ends here; one that has sealed its pack has removed the file, and its count lies in the pack."""
        if not self._sealed:
            self._write()

    def total(self, attempt: Usage) -> Usage:
        """Of all attempts; `attempt` is what all workers together used in this one. The file is no longer needed."""
        self._path.unlink(missing_ok=True)
        self._sealed = True
        return self.earlier.then(attempt)

    def _write(self) -> None:
        alone = mine(self._began, self._gpus)
        every = alone
        for _ in range(self._workers.count - 1):
            every = every.beside(alone)
        usage = self.earlier.then(every)
        write_json(self._path, {"schema_version": 1, "attempts": self.attempts, "usage": usage.document()})
        self._written = time.monotonic()


def mine(began: float, gpus: int) -> Usage:
    """Of this worker; `began` is of `time.perf_counter`."""
    return Usage.so_far(time.perf_counter() - began, gpus)


def everyones(workers: Workers, device: str, began: float) -> Usage:
    """Of all workers of this attempt together. All of them must ask, at the same place."""
    own = mine(began, int(device == "cuda"))
    names = tuple(Usage.__dataclass_fields__)
    numbers = workers.numbers([float(getattr(own, name)) for name in names])
    each = [numbers[place : place + len(names)] for place in range(0, len(numbers), len(names))]
    found = Usage()
    for seconds, cpu, gpu, memory, written in each:
        found = found.beside(Usage(seconds, cpu, gpu, int(memory), int(written)))
    return found
