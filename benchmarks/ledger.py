"""Four processes append to one ledger for a minute: nothing is lost, nothing forks, and how long one of them waits at most."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.figure import Figure
from mtac_assets.provenance import ledger
from mtac_assets.provenance.git import Repository

WRITERS, SECONDS = 4, 60.0
WRITER = """
import json, sys, time
from pathlib import Path
from mtac_assets.provenance import ledger
from mtac_assets.provenance.git import Repository
where, name, until = Repository.at(Path(sys.argv[1])), sys.argv[2], time.monotonic() + float(sys.argv[3])
took = []
while time.monotonic() < until:
    began = time.perf_counter()
    ledger.append(where, "bench", kind="note", recipe="r", model_id=None, actor=name, reason=str(len(took)))
    took.append(time.perf_counter() - began)
print(json.dumps(took))
"""


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mtac-bench-") as name:
        folder = Path(name)
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        took = append_at_once(folder, WRITERS, SECONDS)
        repository = Repository.at(folder)
        found = ledger.entries(repository, "bench")
        problems = ledger.verify(repository, "bench")
        count = Counter(entry.actor for entry in found)
        lost = sum(len(took[actor]) - count[actor] for actor in took)
        in_order = [entry.sequence for entry in found] == list(range(1, len(found) + 1))
        waits = sorted(each for writer in took.values() for each in writer)
    detail = f"{WRITERS} processes for {SECONDS:g} s: {len(found)} entries, by writer {sorted(count.values())}"
    return [
        Figure("entries lost among four writers", lost, "", at_most=0, detail=detail),
        Figure("faults and forks in their ledger", len(problems) + (not in_order), "", at_most=0),
        Figure("one append among four writers, median", statistics.median(waits), "s"),
        Figure("one append among four writers, longest", waits[-1], "s", at_most=30.0),
    ]


def append_at_once(folder: Path, writers: int, seconds: float) -> dict[str, list[float]]:
    """Writer to the seconds that each of its appends took, every one of which came back without an error."""
    command = [sys.executable, "-c", WRITER, str(folder)]
    running = {
        f"writer {number}": subprocess.Popen([*command, f"writer {number}", str(seconds)], stdout=subprocess.PIPE)
        for number in range(writers)
    }
    took: dict[str, list[float]] = {}
    for name, process in running.items():
        output, _ = process.communicate()
        assert process.returncode == 0, f"{name} ended with {process.returncode}"
        took[name] = json.loads(output)
    return took
