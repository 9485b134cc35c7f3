"""Stored JSON documents, read back: is it an object of a version that this code knows?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast


def parse_object(data: bytes | str) -> dict[str, Any] | None:
    """The JSON object in `data`; None where it is anything else or no JSON."""
    try:
        value: Any = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in the file; None where there is no file, or no JSON object in it."""
    try:
        return parse_object(path.read_bytes())
    except FileNotFoundError:
        return None
