"""Files are synced before they get their name, but for what a replay writes into its own folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mtac_assets.provenance.files import UNSYNCED_VARIABLE, write_atomic


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that were synced, as they were named then."""
    paths: list[str] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: paths.append(os.readlink(f"/proc/self/fd/{file}")) or sync(file))
    return paths


def test_a_file_and_then_its_folder_are_synced(tmp_path: Path, synced: list[str]) -> None:
    write_atomic(tmp_path / "a", b"x")
    assert [Path(path).name.endswith("-a") for path in synced] == [True, False]
    assert synced[1] == str(tmp_path)


def test_only_what_lies_in_the_replays_folder_is_not_synced(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    replays = tmp_path / "replays"
    monkeypatch.setenv(UNSYNCED_VARIABLE, str(replays))
    write_atomic(replays / "policy" / "a", b"x")
    assert synced == []
    write_atomic(tmp_path / "replays-of-another" / "b", b"x")
    assert len(synced) == 2
