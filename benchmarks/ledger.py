"""Four writers on one ledger for a minute: nothing is lost, nothing forks, and how long one of them waits at most.

Twice: as processes that only append, a thousand times as often as people do, and as commands of people, who promote models of one
recipe and take them back, each command a process that judges, writes and lets MLflow follow.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from mtac_assets.provenance import ledger
from mtac_assets.provenance.git import Repository
from mtac_assets.spec.project import Project
from mtac_assets_tests.tides import make_project

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
    return [*_library(), *_commands()]


def _library() -> list[Figure]:
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


@dataclass
class Asked:
    """One command as it was asked: its reason, which no other has, how it ended, what it said, and how long it took."""

    reason: str
    code: int
    said: dict[str, Any]
    seconds: float


@dataclass
class Person:
    """Promotes a model of their own and takes the champion back, in turns, until the time is over."""

    project: Project
    name: str
    model_id: str
    asked: list[Asked] = field(default_factory=list[Asked])

    def work(self, until: float) -> None:
        while time.monotonic() < until:
            moves = (("promote", self.model_id), ("rollback", "floods"))
            reason = f"{self.name} asks {len(self.asked) + 1}"
            began = time.monotonic()
            done = _mtac(self.project, *moves[len(self.asked) % 2], "--by", self.name, "--reason", reason)
            said = json.loads(done.stdout) if done.stdout else {}
            self.asked.append(Asked(reason, done.returncode, said, time.monotonic() - began))


def _commands() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="mtac-bench-") as name:
        project = make_project(Path(name) / "coast")
        people = [Person(project, f"person {number}", _model(project, number)) for number in range(WRITERS)]
        before = ledger.entries(Repository.at(project.root), "local")
        until = time.monotonic() + SECONDS
        threads = [threading.Thread(target=person.work, args=(until,)) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        verified = _mtac(project, "verify", "--ledger")
        entries = ledger.entries(Repository.at(project.root), "local")
    asked = [each for person in people for each in person.asked]
    good = [each for each in asked if each.code == 0]
    written = Counter(entry.reason for entry in entries[len(before) :])
    by_number = {entry.sequence: entry for entry in entries}
    # A model that is the champion already is not made it again: the command names the entry that did.
    stood = [each for each in good if by_number[each.said["ledger"]["sequence"]].reason != each.reason]
    lost = sum(written[each.reason] != 1 for each in good if each not in stood)
    lost += sum(written[each.reason] != 0 or each.said["promoted"] is not True for each in stood)
    unasked = sum(written.values()) - sum(written[each.reason] for each in asked)
    in_order = [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
    waits = [each.seconds for each in asked]
    detail = (
        f"`mtac promote` and `mtac rollback` by {WRITERS} people for {SECONDS:g} s: {len(asked)} commands, {len(good)} of them ended"
        f" with 0, {len(stood)} found their model the champion already; {sum(written.values())} entries"
    )
    return [
        Figure("entries of commands lost or doubled", lost + unasked, "", at_most=0, detail=detail),
        Figure("commands that failed", len(asked) - len(good), "", at_most=0),
        Figure("faults and forks, by `mtac verify --ledger`", abs(verified.returncode) + (not in_order), "", at_most=0),
        Figure("one command among four, median", statistics.median(waits), "s"),
        Figure("one command among four, longest", max(waits), "s"),
    ]


def _model(project: Project, number: int) -> str:
    """A model of an as-of date of its own, rebuilt, and promoted once: there is always a champion to return to."""
    as_of = date(2024, 1, 7) + timedelta(days=number)
    made = _mtac(project, "run", "floods", "--as-of", as_of.isoformat())
    assert made.returncode == 0, made.stderr
    model_id = json.loads(made.stdout)["model_id"]
    by = ("--by", "ada", "--reason", "before the minute begins")
    for command in (("reproduce", model_id), ("promote", model_id)):
        done = _mtac(project, *command, *by)
        assert done.returncode == 0, done.stderr + done.stdout
    return model_id


def _mtac(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mtac_assets.cli", *arguments, "--json"]
    return subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)


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
