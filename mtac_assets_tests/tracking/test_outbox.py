from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from mtac_assets.tracking import outbox


def test_recordings_and_documents_come_back_in_order(tmp_path: Path) -> None:
    first = outbox.begin(tmp_path, {"experiment": "tides"})
    second = outbox.begin(tmp_path, {"experiment": "winds"})
    numbers = [first.append("tags", 1, {"tags": {"n": str(n)}}) for n in range(12)]
    assert outbox.recordings(tmp_path) == [first, second]
    assert first.header()["experiment"] == "tides"
    assert first.header()["schema_version"] == 1
    assert first.sequences() == numbers == list(range(1, 13))
    assert first.document(11)["tags"] == {"n": "10"}


def test_finished_is_what_ends_with_a_finish(tmp_path: Path) -> None:
    folder = outbox.begin(tmp_path, {})
    assert not folder.finished()
    folder.append("metrics", 1, {"points": []})
    assert not folder.finished()
    folder.append("finish", 2, {"status": "FINISHED"})
    assert folder.finished()


def test_a_missing_outbox_is_an_empty_one(tmp_path: Path) -> None:
    assert outbox.recordings(tmp_path / "none") == []


def test_what_is_kept_survives_the_original(tmp_path: Path) -> None:
    original = tmp_path / "weights"
    original.write_bytes(b"12")
    folder = outbox.begin(tmp_path / "outbox", {})
    entry = folder.keep(original, "pack/weights")
    original.unlink()
    assert (folder.path / outbox.FILES / "pack/weights").read_bytes() == b"12"
    assert entry == {
        "path": "pack/weights",
        "size": 2,
        "sha256": "6b51d431df5d7f141cbececcf79edf3dd861c3b4069f0b11661a3eefacbba918",
    }


def test_the_lock_keeps_other_processes_out_and_goes_with_its_holder(tmp_path: Path) -> None:
    folder = outbox.begin(tmp_path, {})
    code = (
        "import sys\nfrom pathlib import Path\nfrom mtac_assets.tracking.outbox import Folder\n"
        "with Folder(Path(sys.argv[1])).lock() as mine:\n    print(mine, flush=True)\n    sys.stdin.read()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code, str(folder.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        with folder.lock() as mine:
            assert not mine
        child.kill()
        child.wait()
        with folder.lock() as mine:
            assert mine


def test_a_discarded_recording_is_nobodys(tmp_path: Path) -> None:
    folder = outbox.begin(tmp_path, {})
    folder.discard()
    with folder.lock() as mine:
        assert not mine
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_removes_old_leftovers_only(tmp_path: Path) -> None:
    folder = outbox.begin(tmp_path, {})
    old, young = tmp_path / ".tmp-old", tmp_path / ".gone-young"
    for leftover in (old, young):
        leftover.mkdir()
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    outbox.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".gone-young", folder.recording_id]
