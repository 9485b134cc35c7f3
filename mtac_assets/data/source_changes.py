"""Which partitions' sources changed since they were read: what `mtac plan` asks, of the sources that are cheap to ask.

Those are files of plain paths (one `stat` a day) files of installed packages (one digest, kept by the
file's state), and texts that a function makes (its code and settings). A query
or another file system is asked by `ingest` alone, for that takes a connection. A source that is gone names nothing: the rows
that were read are whole, and there is nothing to read anew.

Imports neither pydantic nor a dataframe library while nothing changed. The same question as `ingest_pending`, which answers for
every kind of source and is what `ingest` goes by.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.data.readers.local import Source, SourceError, file_source, file_states, is_local
from mtac_assets.data.readers.made import documents_source
from mtac_assets.data.seen_sources import SeenSources
from mtac_assets.provenance.digest import digest_json
from mtac_assets.provenance.document import read_object
from mtac_assets.provenance.files import FileState, write_json
from mtac_assets.provenance.memory import Memory
from mtac_assets.provenance.partitions_intact import read_manifest

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

SCHEMA_VERSION = 1
_KEPT = 8  # answers a month: windows of several recipes and dates begin and end in it


def changed_sources(project: Project, dataset: str, contents: Mapping[str, str]) -> tuple[str, ...]:
    """Those keys of `contents` (partition key to content digest) whose source is not in a state that gave this content.

    A file that was only touched is among them until `ingest` has read it once and found the same rows. SourceError where a
    folder may not be looked at.
    """
    declared = _declared(project, dataset)
    keys, digests = tuple(contents), tuple(contents.values())
    if declared["kind"] == "files" and is_local(declared["url"]):
        url, pattern = declared["url"], declared["pattern"]
        states = file_states(url, pattern, keys, project.root)

        def source(place: int) -> Source | None:
            state = states[place]
            return None if state is None else file_source(url, pattern, keys[place], state, project.root)

        state_bytes = states.bytes
    elif declared["kind"] in ("package", "documents"):
        if declared["kind"] == "package":
            found = _package_source(project, dataset, declared)
        else:
            found = documents_source(project.datasets()[dataset].parent, declared)
        if found is None:
            return ()
        one_for_all = repr(found).encode()

        def source(place: int) -> Source | None:
            del place
            return found

        def state_bytes(start: int, stop: int) -> bytes:
            del start, stop
            return one_for_all

    else:
        return ()
    answered = _Answered(project.state.cache / f"unchanged-sources-{dataset}.json")
    seen: SeenSources | None = None
    changed: list[str] = []
    asked = digest_json(declared).encode()
    for month, start, stop in _months(keys):
        text = "\n".join((*keys[start:stop], *digests[start:stop])).encode()
        question = hashlib.sha256(asked + text + b"\0" + state_bytes(start, stop)).hexdigest()
        if answered.knows(month, question):
            continue
        seen = seen or SeenSources(project.state.cache, dataset)
        before = len(changed)
        for place in range(start, stop):
            now, key, content = source(place), keys[place], digests[place]
            if now is not None and not seen.knows(key, content, _recorded(project, dataset, key, content), now):
                changed.append(key)
        if len(changed) == before:
            answered.add(month, question)
    answered.save()
    return tuple(changed)


def _months(keys: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Each month with the place of its first key and of the one after its last: a day that changed costs its month alone."""
    start = 0
    for month, days in groupby(keys, lambda key: key[:7]):
        stop = start + sum(1 for _ in days)
        yield month, start, stop
        start = stop


class _Answered:
    """Questions to which the answer was that nothing changed. Only a shortcut: without the file, manifests are read again.

    A question is a digest over partitions with their content, the declared source and its state. That this source in this
    state gave this content stays true whatever happens later, so an answer never has to be taken back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        document = read_object(path)
        known = document is not None and document.get("schema_version") == SCHEMA_VERSION
        self._months: dict[str, list[str]] = document["months"] if document is not None and known else {}
        self._changed = False

    def knows(self, month: str, question: str) -> bool:
        return question in self._months.get(month, ())

    def add(self, month: str, question: str) -> None:
        self._months[month] = [*self._months.get(month, ()), question][-_KEPT:]
        self._changed = True

    def save(self) -> None:
        if self._changed:
            write_json(self._path, {"schema_version": SCHEMA_VERSION, "months": self._months})


def _recorded(project: Project, dataset: str, key: str, content: str) -> Mapping[str, Any] | None:
    """The source in the partition's manifest; None where the manifest is by now one of other content."""
    document = read_manifest(project.state.data, dataset, key)
    return None if document is None or document["content_digest"] != content else document.get("source")


def _declared(project: Project, dataset: str) -> dict[str, Any]:
    """`source` of dataset.yaml as plain values; remembered by the file's state."""
    file = project.datasets()[dataset]
    memory = Memory(project.state.cache / "dataset-sources.json")
    state = FileState.of(file)
    kept = memory.get(str(file), state)
    if kept is None:
        from mtac_assets.spec.load import load_dataset

        kept = load_dataset(project, dataset).source.model_dump(mode="json")
        memory.put(str(file), state, value=kept)
        memory.save()
    return kept


def _package_source(project: Project, dataset: str, declared: Mapping[str, Any]) -> Source | None:
    """The package's file with its digest, None where it is gone; asked again where a folder of packages or the file changed."""
    folders = [Path(entry) for entry in sys.path if entry and Path(entry).is_dir()]
    states = [FileState.of(folder) for folder in folders]
    memory = Memory(project.state.cache / "package-sources.json")
    question = digest_json([[str(folder) for folder in folders], dict(declared)])
    place = memory.get(question, *states) if states else None
    if place is not None:
        try:
            digest = memory.get(place["path"], FileState.of(Path(place["path"])))
        except (FileNotFoundError, NotADirectoryError):
            digest = None
        if digest is not None:
            return Source(place["uri"], digest)
    from mtac_assets.data.readers.state import locate, package_source
    from mtac_assets.spec.dataset import PackageSource

    spec = PackageSource.model_validate(dict(declared))
    try:
        _, path = locate(spec)
        before = FileState.of(path)
        found = package_source(spec)
    except SourceError:
        return None
    if states:
        memory.put(question, *states, value={"path": str(path), "uri": found.uri})
    memory.put(str(path), before, value=found.state)
    memory.save()
    return found
