"""The states in which sources were last read, beside those that manifests hold: a manifest does not change when nothing did.

Only a shortcut: without its document, sources are read again. Imports no dataframe library and no pydantic.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance.files import read_json, write_json

if TYPE_CHECKING:
    from mtac_assets.data.readers.local import Source

SCHEMA_VERSION = 1


class SeenSources:
    """The state in which each partition's source was last read."""

    def __init__(self, cache: Path, dataset: str) -> None:
        self._path = cache / f"sources-{dataset}.json"
        self._entries: dict[str, Any] = {}
        self._changed = False
        try:
            document = read_json(self._path)
        except (FileNotFoundError, ValueError):
            document = None
        if isinstance(document, dict) and document.get("schema_version") == SCHEMA_VERSION:
            self._entries = document["partitions"]

    def knows(self, key: str, content_digest: str, recorded: Mapping[str, Any] | None, source: Source) -> bool:
        """Whether `source` in this state gave the content of partition `key`, whose manifest holds `recorded` as its source."""
        if source.state is None:
            return False
        entry = {"content_digest": content_digest, **source.document()}
        return recorded == source.document() or self._entries.get(key) == entry

    def remember(self, key: str, content_digest: str, source: Source) -> None:
        entry = {"content_digest": content_digest, **source.document()}
        if self._entries.get(key) != entry:
            self._entries[key] = entry
            self._changed = True

    def save(self) -> None:
        if self._changed:
            write_json(self._path, {"schema_version": SCHEMA_VERSION, "partitions": self._entries})
            self._changed = False
