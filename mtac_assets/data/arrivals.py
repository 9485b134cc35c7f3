"""What has landed in a dataset's folder and is not a partition yet: one quick look, again and again.

Truth is what manifests, stamps and the source say (`ingest_pending`). What a `Watch` remembers only spares asking again
about files that did not change: 10,000 files cost one listing. It reads no row.
Does not belong here: who is told and what is started (see `orchestration.triggers`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.data.contract.source import contract_digest
from mtac_assets.data.ingest_pending import pending
from mtac_assets.data.partitions import manifest_path
from mtac_assets.data.readers.landing import Folder
from mtac_assets.data.readers.local import WHOLE, file_name
from mtac_assets.data.readers.state import source_state
from mtac_assets.provenance.digest import digest_json
from mtac_assets.provenance.files import FileState, settled
from mtac_assets.spec import clock
from mtac_assets.spec.dataset import DailyPartitions, Dataset, FilesSource

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

_MTIME = re.compile(r"mtime_ns:(\d+)")
_AHEAD = 31  # days after today whose files are called early and not strange


@dataclass(frozen=True, slots=True)
class Arrived:
    """A partition whose file is new, changed, or of another contract. `digest` names file and contract in this state."""

    key: str
    reason: str
    state: str
    digest: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A file's state, and when a look first found it so."""

    digest: str
    since: datetime


@dataclass(frozen=True)
class Look:
    """What one look found. Keys are in order; `seen` is to be given to the next look."""

    ready: tuple[Arrived, ...] = ()
    settling: tuple[Arrived, ...] = ()
    early: tuple[str, ...] = ()  # files of days that are not over
    strangers: tuple[str, ...] = ()  # files that are no partition's
    seen: Mapping[str, Seen] = field(default_factory=dict[str, Seen])


def arrived(project: Project, dataset: Dataset, reasons: Mapping[str, str]) -> list[Arrived]:
    """The partitions of `reasons` (key to why it is pending) whose file is there, each with the digest of its state, in order."""
    folder = project.datasets()[dataset.name].parent
    sources = source_state(dataset, sorted(reasons), project.root)
    contract = contract_digest(dataset, folder)
    found: list[Arrived] = []
    for key in sorted(sources):
        state = sources[key].state
        if state is None and manifest_path(project.state.data, dataset.name, key).exists():
            continue  # a file system that cannot tell whether the file changed: nothing has arrived that one could see
        state = state or "unknown"
        found.append(Arrived(key, reasons[key], state, digest_json([state, contract])[:12]))
    return found


class Watch:
    """The eye on one dataset's folder, for as long as a process lives."""

    def __init__(self, project: Project, dataset: Dataset) -> None:
        assert isinstance(dataset.source, FilesSource), "spec refuses `arrival` for other sources"
        self._project = project
        self._dataset = dataset
        self._source = dataset.source
        self._landing = Folder(dataset.source, project.root)
        self._folder = project.datasets()[dataset.name].parent
        self._written = _Written(project.state.data / dataset.name)
        self._names: dict[str, str] = {}
        self._names_of: date | None = None
        self._last: _Sight | None = None  # how all was at the last look that came to its end
        self._open: dict[str, str] = {}  # key to the reason why it is pending
        self._strange: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def look(self, settle: timedelta, seen: Mapping[str, Seen] | None = None) -> Look:
        """All that is pending now. A file is settling until it did not change for `settle`; `seen` is the last look's.

        Raises SourceError where the folder cannot be listed, ContractError where the contract is at fault.
        """
        names, files, written = self._partition_names(), self._landing.look(), self._written.look()
        contract, last = self._contract(), self._last
        if last is None or names is not last.names or files.keys() != last.files.keys():
            self._strange = self._sort_out(files, names)
        for key in [key for key in self._open if file_name(self._source.pattern, key) not in files]:
            del self._open[key]  # taken away again
        if last is not None and names is last.names and written is last.written and files == last.files:
            states = last.states
        else:
            states = {names[name]: (state, written.get(names[name])) for name, state in files.items() if name in names}
        known = last.states if last is not None and contract is not None and contract == last.contract else {}
        asked = sorted(key for key, state in states.items() if key in self._open or known.get(key) != state)
        if asked:
            reasons = pending(self._project, self._dataset, asked)
            for key in asked:
                if key in reasons:
                    self._open[key] = reasons[key]
                else:
                    self._open.pop(key, None)
        self._last = _Sight(names, files, written, contract, states)
        early, strangers = self._strange
        if not self._open:
            return Look(early=early, strangers=strangers)
        ready, settling, still = self._part(settle, seen or {})
        return Look(ready, settling, early, strangers, still)

    def _part(
        self, settle: timedelta, seen: Mapping[str, Seen]
    ) -> tuple[tuple[Arrived, ...], tuple[Arrived, ...], dict[str, Seen]]:
        """Ready, settling, and since when each state of them has been seen."""
        now = clock.now()
        ready: list[Arrived] = []
        settling: list[Arrived] = []
        known: dict[str, Seen] = {}
        for each in arrived(self._project, self._dataset, self._open):
            before = seen.get(each.key)
            first = before.since if before is not None and before.digest == each.digest else now
            first = min(first, now)  # a clock that was set back: what was seen is not yet to come
            known[each.key] = Seen(each.digest, first)
            quiet = now - _quiet_since(each.state, first, now)
            (ready if quiet >= settle else settling).append(each)
        return tuple(ready), tuple(settling), known

    def _partition_names(self) -> dict[str, str]:
        """File name to partition key, for every partition there may be today."""
        today = clock.today()
        if self._names_of != today:
            self._names_of = today
            self._names = {file_name(self._source.pattern, key): key for key in _keys(self._dataset, today)}
        return self._names

    def _sort_out(
        self, files: Mapping[str, Hashable], names: Mapping[str, str]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        others = [name for name in files if name not in names]
        if not others:
            return (), ()
        coming = {file_name(self._source.pattern, key) for key in _coming(self._dataset, clock.today())}
        early = tuple(sorted(name for name in others if name in coming))
        return early, tuple(sorted(name for name in others if name not in coming))

    def _contract(self) -> tuple[FileState, ...] | None:
        """State of the contract's files; None while it proves nothing."""
        states = tuple(FileState.of(path) for path in sorted(self._folder.glob("*.py")))
        return states if all(settled(state.mtime_ns) for state in states) else None


@dataclass(frozen=True)
class _Sight:
    """What a look saw. `states`: key to how its file was, and what was written of it."""

    names: Mapping[str, str]
    files: Mapping[str, Hashable]
    written: Mapping[str, object]
    contract: tuple[FileState, ...] | None
    states: Mapping[str, object]


class _Written:
    """Manifests and stamps of a dataset. They are renamed into place, which moves the folder's own time: while that stands still,
    none is asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._state: FileState | None = None
        self._states: dict[str, object] = {}

    def look(self) -> Mapping[str, object]:
        """Key to a value that changes when its manifest or stamp does; the same mapping as before while nothing has moved."""
        state = FileState.find(self._folder)
        if state is None:
            self._state, self._states = None, {}
        elif state != self._state or not settled(state.mtime_ns):
            self._state, self._states = (state if settled(state.mtime_ns) else None), _documents(self._folder)
        return self._states


def _documents(folder: Path) -> dict[str, object]:
    found: dict[str, dict[str, object]] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.endswith(".json") or entry.name[0] == ".":
                continue
            with suppress(FileNotFoundError):  # gone since the listing
                status = entry.stat()
                # One written just now could change again and look the same: it equals nothing.
                state = (status.st_size, status.st_ino, status.st_mtime_ns) if settled(status.st_mtime_ns) else object()
                found.setdefault(entry.name.partition(".")[0], {})[entry.name] = state
    return dict(found)


def _keys(dataset: Dataset, today: date) -> Iterable[str]:
    """Keys of the partitions that there may be: days that are over."""
    partitions = dataset.partitions
    if not isinstance(partitions, DailyPartitions):
        return (WHOLE,)
    last = today - timedelta(days=1)
    if partitions.end is not None and partitions.end < last:
        last = partitions.end
    return _days(partitions.start, last)


def _coming(dataset: Dataset, today: date) -> Iterable[str]:
    partitions = dataset.partitions
    if not isinstance(partitions, DailyPartitions):
        return ()
    last = today + timedelta(days=_AHEAD)
    return _days(max(today, partitions.start), min(last, partitions.end) if partitions.end else last)


def _days(first: date, last: date) -> list[str]:
    return [(first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1)]


def _quiet_since(state: str, first: datetime, now: datetime) -> datetime:
    """When the file last changed: its own modification time where that can be believed, else when it was first seen so."""
    found = _MTIME.search(state)
    if found is None:
        return first
    written = datetime.fromtimestamp(int(found[1]) / 1e9, UTC)
    return written if written <= now else first
