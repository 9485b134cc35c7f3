"""What was computed from a file, kept by the file's state, so that asking again costs one `stat`.

Belongs here: one JSON document per kind of answer under the state's cache folder. It is only ever a shortcut: a lost or
unreadable document means computing again, never a wrong answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mtac_assets.provenance.document import known_object
from mtac_assets.provenance.files import FileState, settled, write_atomic

SCHEMA_VERSION = 1


class Memory:
    """Answers by path and file state. `path` None keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._entries: dict[str, Any] = {}
        self._changed = False
        if path is not None:
            document = known_object(path)
            if document is not None and document.get("schema_version") == SCHEMA_VERSION:
                self._entries = dict(document["entries"])

    def get(self, key: str, *states: FileState) -> Any | None:
        """The answer kept under `key`, not to be changed; None where there is none for files in exactly these states."""
        entry = self._entries.get(key)
        if entry is None or entry["state"] != _plain(states):
            return None
        return entry["value"]

    def put(self, key: str, state: FileState, *more: FileState, value: Any = None) -> None:
        """Keep `value` for files in these states, unless one of them was written only just now."""
        states = (state, *more)
        if not all(settled(each.mtime_ns) for each in states):
            # The file system's own clock decides here, not the one that tests may set.
            if self._entries.pop(key, None) is not None:
                self._changed = True
            return
        self._entries[key] = {"state": _plain(states), "value": value}
        self._changed = True

    def save(self) -> None:
        """Write what was learnt; nothing where nothing was."""
        if self._path is not None and self._changed:
            document = {"schema_version": SCHEMA_VERSION, "entries": self._entries}
            write_atomic(self._path, json.dumps(document, separators=(",", ":")).encode())
            self._changed = False


def _plain(states: tuple[FileState, ...]) -> list[list[int]]:
    return [[state.size, state.inode, state.mtime_ns] for state in states]
