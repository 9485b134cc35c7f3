"""Stored JSON documents, read back: is it an object of a version that this code knows?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from mtac_assets.provenance.files import FileState, settled

KEPT = 4096  # documents of some ten kilobytes each, in a process that may watch tens of thousands


def parse_object(data: bytes | str) -> dict[str, Any] | None:
    """The JSON object in `data`; None where it is anything else or no JSON."""
    try:
        value: Any = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def known_object(path: Path) -> Mapping[str, Any] | None:
    """As `read_object`, parsed once for each state of the file: for documents that are replaced by renaming, and that a sensor asks
    about at every tick. Whoever gets it must not change it."""
    state = FileState.find(path)
    if state is None:
        return None
    if not settled(state.mtime_ns):  # one written just after it might look the same
        return read_object(path)
    return _known(path, state)


@lru_cache(maxsize=KEPT)
def _known(path: Path, state: FileState) -> dict[str, Any] | None:
    """The document that `path` holds in this state; `state` is what it is remembered by."""
    return read_object(path)


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in the file; None where there is no file, or no JSON object in it."""
    try:
        return parse_object(path.read_bytes())
    except FileNotFoundError:
        return None
