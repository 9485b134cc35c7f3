"""Stored JSON documents, read back: is it an object of a version that this code knows?"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mtac_assets.provenance.files import RACY_NS, FileState


def parse_object(data: bytes | str) -> dict[str, Any] | None:
    """The JSON object in `data`; None where it is anything else or no JSON."""
    try:
        value: Any = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


@dataclass(frozen=True)
class _Parsed:
    state: FileState
    document: dict[str, Any] | None


_parsed: dict[str, _Parsed] = {}


def known_object(path: Path) -> Mapping[str, Any] | None:
    """As `read_object`, parsed once for each state of the file: for documents that are replaced by renaming, and that a sensor asks
    about at every tick. Whoever gets it must not change it."""
    try:
        state = FileState.of(path)
    except FileNotFoundError:
        _parsed.pop(str(path), None)
        return None
    kept = _parsed.get(str(path))
    if kept is not None and kept.state == state:
        return kept.document
    document = read_object(path)
    if time.time_ns() - state.mtime_ns >= RACY_NS:  # one written later than that might look the same
        _parsed[str(path)] = _Parsed(state, document)
    return document


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in the file; None where there is no file, or no JSON object in it."""
    try:
        return parse_object(path.read_bytes())
    except FileNotFoundError:
        return None
