"""What a training costs the machine: CPU and memory of a process and all its children, sampled beside it.

MLflow's own monitor is left out: it measures the whole machine, talks to MLflow by itself (so it stops for good when
the server is away), and a second training at the same time spoils its figures. The names keep MLflow's `system/`
prefix, by which its page finds them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mtac_assets.provenance.beside import beside
from mtac_assets.spec import clock

if TYPE_CHECKING:
    import psutil

    from mtac_assets.tracking.record import Point

INTERVAL_SECONDS = 5.0


@contextmanager
def sample(send: Callable[[list[Point]], None], interval: float = INTERVAL_SECONDS) -> Iterator[None]:
    """While the block runs, send a sample every `interval` seconds, and one at the end.

    `system/process_cpu_percent` (100 is one core busy), `system/process_memory_megabytes` (resident, summed),
    `system/processes`, `system/machine_memory_percent`; the step is the sample's number.
    """
    import psutil

    root = psutil.Process()
    before, seconds, step = _cpu_seconds(root), time.monotonic(), 0

    def work() -> None:
        nonlocal before, seconds, step
        after, now = _cpu_seconds(root), time.monotonic()
        send(_points(root, step, before, after, now - seconds))
        before, seconds, step = after, now, step + 1

    with beside(work, interval, "mtac-system-metrics", at_end=True):
        yield


def _tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]


def _cpu_seconds(root: psutil.Process) -> dict[int, float]:
    """CPU seconds used so far, by process id."""
    import psutil

    used: dict[int, float] = {}
    for process in _tree(root):
        try:
            times = process.cpu_times()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended between the listing and the look
        used[process.pid] = times.user + times.system
    return used


def _points(
    root: psutil.Process, step: int, before: dict[int, float], after: dict[int, float], seconds: float
) -> list[Point]:
    import psutil

    from mtac_assets.tracking.record import Point

    resident = 0
    for process in _tree(root):
        try:
            resident += process.memory_info().rss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    used = sum(total - before.get(pid, 0.0) for pid, total in after.items())
    values = {
        "system/process_cpu_percent": 100.0 * used / max(seconds, 1e-3),
        "system/process_memory_megabytes": resident / 1e6,
        "system/processes": float(len(after)),
        "system/machine_memory_percent": psutil.virtual_memory().percent,
    }
    at = clock.now()
    return [Point(name, value, step, at) for name, value in values.items()]
