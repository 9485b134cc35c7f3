"""A document that is asked about again and again is parsed once for each state of its file, and never told wrongly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mtac_assets.provenance import document
from mtac_assets.provenance.document import known_object
from mtac_assets.provenance.files import RACY_NS, write_json

LONG_AGO = 3 * RACY_NS


def settle(path: Path) -> None:
    """As if it had been written some seconds ago."""
    then = path.stat().st_mtime_ns - LONG_AGO
    os.utime(path, ns=(then, then))


def test_a_settled_file_is_parsed_once_and_a_new_one_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = tmp_path / "a.json", []
    parse = document.parse_object
    monkeypatch.setattr(document, "parse_object", lambda data: read.append(data) or parse(data))
    write_json(path, {"a": 1})
    settle(path)
    assert known_object(path) == known_object(path) == {"a": 1}
    assert len(read) == 1
    write_json(path, {"a": 2})
    assert known_object(path) == {"a": 2}, "another inode, whatever its time"


def test_a_file_written_just_now_is_read_each_time(tmp_path: Path) -> None:
    """One written in place within the clock's grain would look the same."""
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    state = path.stat()
    assert known_object(path) == {"a": 1}
    path.write_text('{"a": 2}')
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert known_object(path) == {"a": 2}


def test_what_is_missing_or_no_object_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert known_object(path) is None
    write_json(path, {"a": 1})
    settle(path)
    assert known_object(path) == {"a": 1}
    path.unlink()
    assert known_object(path) is None
    path.write_text("[1]")
    assert known_object(path) is None
