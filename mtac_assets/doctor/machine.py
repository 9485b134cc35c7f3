"""The machine: what is installed, the folder of all state, room on its disk, the clock."""

from __future__ import annotations

import email.utils
import importlib.metadata
import os
import platform
import secrets
import shutil
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

from packaging.specifiers import SpecifierSet

from mtac_assets.doctor.part import Part
from mtac_assets.provenance.distributions import normalise
from mtac_assets.provenance.files import write_atomic
from mtac_assets.provenance.git import GitError, Repository
from mtac_assets.provenance.store import remote_url
from mtac_assets.spec import clock
from mtac_assets.spec.clock import TOLERANCE as CLOCK_TOLERANCE
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.project import Project
from mtac_assets.tracking.settings import is_server, tracking_uri

LEAST_BYTES, SCARCE_BYTES = 1 << 30, 5 << 30  # a model of a year of flights and its Dagster home take 60 MB
ANSWER_SECONDS = 5.0
SHOWN = 5


def installed(project: Project) -> Part:
    """The distributions that are here against the pins of the project's constraints.txt."""
    python = f"Python {platform.python_version()}"
    lock = project.root / "constraints.txt"
    if not lock.is_file():
        return Part("versions", f"{python}; the project has no constraints.txt to compare with")
    pins = dict(line.split("==") for line in lock.read_text().splitlines() if "==" in line and not line.startswith("#"))
    here = {normalise(found.name): found.version for found in importlib.metadata.distributions()}
    other = {
        name: (pin, here[normalise(name)])
        for name, pin in pins.items()
        if normalise(name) in here and not SpecifierSet(f"=={pin}").contains(here[normalise(name)], prereleases=True)
    }
    present = sum(normalise(name) in here for name in pins)
    return Part(
        "versions",
        f"{python}; {present} of {len(pins)} pinned distributions are installed",
        [
            Finding(
                f"{len(other)} distributions are not the pinned ones: "
                + ", ".join(f"{name} {is_here}" for name, (_, is_here) in sorted(other.items())[:SHOWN]),
                str(lock),
                ", ".join(f"{name} {pin}" for name, (pin, _) in sorted(other.items())[:SHOWN]),
                "make install; models of this environment would get other IDs",
            )
        ]
        if other
        else (),
    )


def state(project: Project) -> Part:
    """Whether the state's folder can be written to, as everything is: a temporary file, synced, renamed."""
    root = project.state.root
    probe = root / f".doctor-{secrets.token_hex(4)}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        write_atomic(probe, b"written by mtac doctor")
        probe.unlink()
    except OSError as error:
        finding = Finding(
            f"the state cannot be written to: {error.strerror or error}",
            str(root),
            "a folder that this user may write to",
            "see `state` in the environment's file, the folder's owner, and whether its volume is mounted read-only",
        )
        return Part("state", str(root), [finding])
    return Part("state", f"{root} can be written to")


def room(project: Project) -> Part:
    """Free bytes on every volume that something is kept on: the state, the store, MLflow's files, the repository."""
    by_volume: dict[int, tuple[list[str], Path]] = {}
    for what, place in _kept(project).items():
        there = next(each for each in (place, *place.parents) if each.exists())
        by_volume.setdefault(there.stat().st_dev, ([], there))[0].append(what)
    says, problems, worries = [], [], []
    for whose, place in by_volume.values():
        free = shutil.disk_usage(place).free
        words = f"{free / 2**30:.1f} GiB free for {', '.join(whose)}"
        says.append(words)
        if free >= SCARCE_BYTES:
            continue
        finding = Finding(
            f"only {words}",
            str(place),
            f"{SCARCE_BYTES >> 30} GiB; below {LEAST_BYTES >> 30} GiB nothing should be started",
            "`mtac gc --keep N` says what it would free; or move it to another volume",
        )
        (problems if free < LEAST_BYTES else worries).append(finding)
    return Part("disk", "; ".join(says), problems, worries)


def _kept(project: Project) -> dict[str, Path]:
    """Folders of this machine that something is kept in; what lies behind a URL has room of its own."""
    server = project.environment.server
    found = {"the state": str(project.state.root), "the store": remote_url(project)}
    if server is not None:
        found |= {"the repository": server.repository, "MLflow's files": server.artifacts}
    return {what: Path(place) for what, place in found.items() if "://" not in place}


def time(project: Project) -> Part:
    """The clock against the newest record and, where there is one, against MLflow's server."""
    now = clock.now()
    problems = []
    if os.environ.get(clock.CLOCK_VARIABLE):
        problems.append(
            Finding(
                f"{clock.CLOCK_VARIABLE} fixes the clock at {now.isoformat(timespec='seconds')}",
                "environment variable",
                "a clock that goes",
                f"unset {clock.CLOCK_VARIABLE}; it is for replays and tests",
            )
        )
    for whose, then in (("the newest record in refs/mtac", _newest_record(project.root)), _servers_time(project)):
        ahead = then - now if then is not None else timedelta()
        # A record lies in the past however old it is; a server's clock differs in both directions.
        if ahead > CLOCK_TOLERANCE or (whose != "the newest record in refs/mtac" and ahead < -CLOCK_TOLERANCE):
            problems.append(
                Finding(
                    f"{whose} is {abs(ahead.total_seconds()) / 60:.0f} min {'ahead of' if ahead > timedelta() else 'behind'} this machine's clock",
                    f"{now.isoformat(timespec='seconds')} here",
                    f"at most {CLOCK_TOLERANCE.seconds // 60} min",
                    "set the clock by NTP; the ledger's order does not depend on it, schedules and reports do",
                )
            )
    return Part("clock", f"{now.isoformat(timespec='seconds')}", problems)


def _newest_record(root: Path) -> datetime | None:
    try:
        listed = Repository.at(root).text(
            "for-each-ref", "--sort=-committerdate", "--count=1", "--format=%(committerdate:unix)", "refs/mtac"
        )
    except GitError:
        return None  # the part about Git tells
    return datetime.fromtimestamp(int(listed), UTC) if listed.strip() else None


def _servers_time(project: Project) -> tuple[str, datetime | None]:
    uri = tracking_uri(project)
    if not is_server(uri):
        return "", None
    try:
        with urllib.request.urlopen(uri, timeout=ANSWER_SECONDS) as answer:
            told = answer.headers.get("Date")
    except (urllib.error.URLError, OSError):
        return "", None  # the part about MLflow tells
    return "the clock of MLflow's server", email.utils.parsedate_to_datetime(told) if told else None
