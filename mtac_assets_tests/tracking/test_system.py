from __future__ import annotations

import subprocess
import sys

from mtac_assets.tracking.record import Point
from mtac_assets.tracking.system import sample

BUSY = (
    "import time\nheld = bytearray(80_000_000)\nend = time.process_time() + 0.8\nwhile time.process_time() < end: pass"
)


def test_a_busy_child_shows_in_cpu_memory_and_count() -> None:
    sent: list[Point] = []
    with sample(sent.extend, interval=0.25):
        subprocess.run([sys.executable, "-c", BUSY], check=True)
    assert max(point.value for point in sent if point.name == "system/process_cpu_percent") > 15
    memory = [point.value for point in sent if point.name == "system/process_memory_megabytes"]
    assert max(memory) > min(memory) + 60
    assert max(point.value for point in sent if point.name == "system/processes") >= 2
    steps = [point.step for point in sent if point.name == "system/processes"]
    assert steps == list(range(len(steps)))
    assert len(steps) >= 3


def test_a_short_training_leaves_one_sample() -> None:
    sent: list[Point] = []
    with sample(sent.extend, interval=60):
        pass
    assert [point.step for point in sent] == [0, 0, 0, 0]
