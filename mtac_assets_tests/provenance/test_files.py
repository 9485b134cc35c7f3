"""Files are synced before they get their name, but for what a replay writes into its own folder; when a file's state proves something."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mtac_assets.provenance import files
from mtac_assets.provenance.files import RACY_NS, UNSYNCED_VARIABLE, FileState, settled, trust_times_of, write_atomic


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


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file system was measured yet, and none is afterwards."""
    monkeypatch.setattr(files, "_racy_ns", [RACY_NS])


@pytest.mark.usefixtures("coarse")
def test_a_file_written_just_now_proves_nothing(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"x")
    assert not settled(FileState.of(tmp_path / "a").mtime_ns)
    assert settled(FileState.of(tmp_path / "a").mtime_ns - RACY_NS)


@pytest.mark.usefixtures("coarse")
def test_where_the_file_system_counts_finely_no_second_writing_goes_unseen(tmp_path: Path) -> None:
    """On a disk of this machine: whatever is written once a state is trusted has another state."""
    trust_times_of(tmp_path)
    path = tmp_path / "a"
    for _ in range(50):
        path.write_bytes(b"x")
        state = FileState.of(path)
        while not settled(state.mtime_ns):
            time.sleep(0.001)
        path.write_bytes(b"y")
        assert FileState.of(path) != state


@pytest.mark.usefixtures("coarse")
def test_where_it_counts_coarsely_two_seconds_are_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = int(time.time()) * 1_000_000_000
    write = Path.write_bytes

    def coarsely(path: Path, data: bytes) -> int:
        done = write(path, data)
        os.utime(path, ns=(second, second))
        return done

    monkeypatch.setattr(Path, "write_bytes", coarsely)
    trust_times_of(tmp_path)
    assert files._racy_ns == [RACY_NS]
