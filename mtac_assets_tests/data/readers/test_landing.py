"""Every change in a landing folder is seen: at once where the name or the inode tells, within a few looks where only `stat` does."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mtac_assets.data.readers import landing
from mtac_assets.data.readers.landing import Folder
from mtac_assets.data.readers.state import SourceError
from mtac_assets.spec.dataset import FilesSource

LONG_AGO = time.time() - 7 * 86_400


def source(url: str, pattern: str = "{date}.csv") -> FilesSource:
    return FilesSource(kind="files", url=url, pattern=pattern, format="csv")


def old(path: Path, text: str) -> Path:
    path.write_text(text)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


@pytest.fixture
def crowded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve old files in a folder that counts as large from five on."""
    monkeypatch.setattr(landing, "STATS_A_LOOK", 5)
    for day in range(1, 13):
        old(tmp_path / f"2024-01-{day:02d}.csv", "x")
    return tmp_path


def test_a_new_a_gone_and_a_renamed_file_are_seen_at_once(crowded: Path) -> None:
    folder = Folder(source(str(crowded)), crowded)
    for _ in range(4):
        before = folder.look()
    assert len(before) == 12
    (crowded / "2024-01-01.csv").unlink()
    old(crowded / "2024-01-13.csv", "x")
    # Corrected as one should: same size, same time, another file under the name.
    old(crowded / ".part", "y").rename(crowded / "2024-01-07.csv")
    after = folder.look()
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {"2024-01-01.csv", "2024-01-13.csv", "2024-01-07.csv"}


def test_an_old_file_rewritten_in_place_is_seen_within_a_few_looks(crowded: Path) -> None:
    folder = Folder(source(str(crowded)), crowded)
    before = folder.look()
    for name in before:
        with (crowded / name).open("a") as stream:
            stream.write("more")
        os.utime(crowded / name, (LONG_AGO, LONG_AGO))
    seen: set[str] = set()
    for _ in range(3):  # 12 files, 5 a look
        after = folder.look()
        seen |= {name for name in before if before[name] != after[name]}
    assert seen == set(before)


def test_a_file_of_the_last_hour_is_looked_at_each_time(crowded: Path) -> None:
    folder = Folder(source(str(crowded)), crowded)
    fresh = crowded / "2024-01-05.csv"
    for text in ("a", "ab", "abc", "abcd"):
        fresh.write_text(text)
        state = folder.look()[fresh.name]
        assert isinstance(state, tuple)
        assert state[1] == len(text)


def test_what_is_no_finished_file_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / ".2024-01-01.csv").write_text("half")
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "nowhere")
    (tmp_path / "2024-01-02.csv").write_text("whole")
    assert list(Folder(source(str(tmp_path)), tmp_path).look()) == ["2024-01-02.csv"]


def test_days_in_folders_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "2024" / "01").mkdir(parents=True)
    (tmp_path / "2024" / "01" / "02.csv").write_text("x")
    found = Folder(source("landing", "{date:%Y/%m/%d}.csv"), tmp_path)
    with pytest.raises(SourceError, match="cannot be listed"):
        found.look()
    (tmp_path / "landing").symlink_to(tmp_path)
    assert set(Folder(source(".", "{date:%Y/%m/%d}.csv"), tmp_path / "2024").look()) == {"01/02.csv"}


def test_any_file_system_that_fsspec_knows() -> None:
    import fsspec

    system = fsspec.filesystem("memory")
    system.pipe({"/landed/2024-01-01.csv": b"x", "/landed/.2024-01-02.csv": b"x"})
    folder = Folder(source("memory://landed"), Path())
    before = folder.look()
    assert list(before) == ["2024-01-01.csv"]
    system.pipe({"/landed/2024-01-01.csv": b"xy"})
    assert folder.look() != before
    system.rm("/landed", recursive=True)
