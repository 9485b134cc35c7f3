"""Backup and restore: all that a rebuild needs comes back, half of it is never taken for all, what differs is not overwritten."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.provenance import ledger, refs
from mtac_assets.provenance.backup import BackupError, backup, restore, verify_backup
from mtac_assets.provenance.bring import ShareError
from mtac_assets.provenance.verify import verify_all

KILLED = """
import os, signal, sys
from pathlib import Path
from mtac_assets.provenance import backup
from mtac_assets.spec.project import find_project
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(backup, sys.argv[2], die)
backup.backup(find_project(), Path(sys.argv[1]))
"""


def promote(shop: Any, model_id: str, reason: str = "good") -> None:
    ledger.append(shop.project, "local", kind="promote", recipe="demand", model_id=model_id, actor="ada", reason=reason)


def from_backup(shop: Any, folder: Path, place: Path) -> Any:
    """The project as a clone of the backup's own repository, before anything is restored."""
    shop.git("clone", "-q", str(folder / "mtac.git"), str(place), folder=folder)
    return type(shop)(place)


@pytest.fixture
def saved(stocked: Any, tmp_path: Path) -> tuple[Any, str, Path]:
    model_id = stocked.record()
    promote(stocked, model_id)
    backup(stocked.project, tmp_path / "safe")
    return stocked, model_id, tmp_path / "safe"


def test_what_was_lost_comes_back_whole(saved: tuple[Any, str, Path], tmp_path: Path) -> None:
    shop, model_id, folder = saved
    shutil.rmtree(shop.root)
    other = from_backup(shop, folder, tmp_path / "again")
    done = restore(other.project, folder)
    assert set(done.references) == {f"models/{model_id}", "ledger/local"}
    assert done.objects == 8 + 3
    (summary,) = refs.list_models(other.project)
    assert (summary.model_id, summary.status) == (model_id, "champion")
    assert verify_all(other.project) == {model_id: []}
    assert ledger.verify(other.project, "local") == []
    assert restore(other.project, folder).references == ()


def test_a_clone_of_the_backup_has_the_code_though_no_branch_is_checked_out(stocked: Any, tmp_path: Path) -> None:
    """As in a deployment, whose code is a worktree at an image's commit, and on a CI system."""
    stocked.git("branch", "-M", "trunk")
    image = tmp_path / "image"
    stocked.git("worktree", "add", "-q", "--detach", str(image), "trunk")
    backup(type(stocked)(image).project, tmp_path / "safe")
    assert (from_backup(stocked, tmp_path / "safe", tmp_path / "again").root / "pyproject.toml").is_file()
    stocked.git("checkout", "-q", "--detach")
    backup(stocked.project, tmp_path / "safe too")
    assert (from_backup(stocked, tmp_path / "safe too", tmp_path / "once more").root / "pyproject.toml").is_file()


def test_only_what_is_new_is_copied(saved: tuple[Any, str, Path]) -> None:
    shop, first, folder = saved
    again = backup(shop.project, folder)
    assert (again.models, again.references, again.objects) == (1, (), 0)
    second = shop.record("training.seed=2", weights=b"others")
    more = backup(shop.project, folder)
    assert (more.models, more.references, more.objects) == (2, (f"mtac/models/{second}",), 2), (
        "weights and a checkpoint"
    )
    assert verify_backup(folder) == []
    shop.git("update-ref", "-d", f"refs/mtac/models/{second}")
    assert backup(shop.project, folder).models == 1
    assert first in refs.model_ids(shop.project)


@pytest.mark.parametrize("moment", ["bring", "_push", "write_json"])
@pytest.mark.fault
def test_killed_in_the_middle_it_is_the_backup_before(
    saved: tuple[Any, str, Path], tmp_path: Path, moment: str
) -> None:
    shop, first, folder = saved
    second = shop.record("training.seed=2", weights=b"others")
    command = [sys.executable, "-c", KILLED, str(folder), moment]
    assert subprocess.run(command, cwd=shop.root, env={"PYTHONPATH": str(Path(__file__).parents[2])}).returncode == -9
    other = from_backup(shop, folder, tmp_path / "between")
    restore(other.project, folder)
    assert verify_all(other.project) == {first: []}
    backup(shop.project, folder)
    restore(other.project, folder)
    assert verify_all(other.project) == {first: [], second: []}


def test_a_first_backup_that_was_cut_off_is_none(stocked: Any, tmp_path: Path) -> None:
    stocked.record()
    command = [sys.executable, "-c", KILLED, str(tmp_path / "half"), "_push"]
    variables = {"PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run(command, cwd=stocked.root, env=variables, check=False).returncode == -9
    with pytest.raises(BackupError, match="no whole backup"):
        restore(stocked.project, tmp_path / "half")
    assert backup(stocked.project, tmp_path / "half").models == 1, "it goes on where it was"


def test_what_went_another_way_is_not_overwritten_and_what_is_ahead_stays(
    saved: tuple[Any, str, Path], tmp_path: Path
) -> None:
    shop, model_id, folder = saved
    promote(shop, "demand-1", "later")
    assert restore(shop.project, folder).references == ()
    assert len(ledger.entries(shop.project, "local")) == 2, "ours has gone on from what was backed up"
    other = from_backup(shop, folder, tmp_path / "other")
    promote(other, "demand-2", "elsewhere")
    with pytest.raises(ShareError, match="different ways"):
        restore(other.project, folder)
    assert [entry.model_id for entry in ledger.entries(other.project, "local")] == ["demand-2"]
    assert refs.model_ids(other.project) == [], "nothing else was moved either"
    assert model_id in refs.model_ids(shop.project)


def test_a_ledger_that_was_rewritten_does_not_reach_the_backup(saved: tuple[Any, str, Path], tmp_path: Path) -> None:
    shop, model_id, folder = saved
    shop.git("update-ref", "-d", "refs/mtac/ledger/local")
    promote(shop, "demand-9", "forged")
    with pytest.raises(ShareError, match="refused"):
        backup(shop.project, folder)
    other = from_backup(shop, folder, tmp_path / "other")
    restore(other.project, folder)
    assert [entry.model_id for entry in ledger.entries(other.project, "local")] == [model_id]


def test_a_damaged_object_is_named_and_nothing_is_restored(saved: tuple[Any, str, Path], tmp_path: Path) -> None:
    shop, _, folder = saved
    victim = max((path for path in (folder / "objects").rglob("*") if path.is_file()), key=lambda path: path.name)
    victim.write_bytes(bytes(victim.stat().st_size))
    (finding,) = verify_backup(folder)
    assert "damaged" in finding.error
    other = from_backup(shop, folder, tmp_path / "other")
    with pytest.raises(ShareError, match="damaged"):
        restore(other.project, folder)
    assert refs.model_ids(other.project) == []
    assert ledger.entries(other.project, "local") == []


def test_an_object_that_is_nowhere_is_named_and_the_backup_stays_as_it_was(
    saved: tuple[Any, str, Path], tmp_path: Path
) -> None:
    shop, first, folder = saved
    second = shop.record("training.seed=2", weights=b"others")
    for path in [*shop.project.state.remote.rglob("*"), *(shop.project.state.models / second).rglob("*")]:
        if path.is_file() and path.read_bytes() in (b"others", b"state others"):
            path.unlink()
    with pytest.raises(ShareError, match=r"model\.safetensors"):
        backup(shop.project, folder)
    other = from_backup(shop, folder, tmp_path / "other")
    restore(other.project, folder)
    assert verify_all(other.project) == {first: []}


def test_other_folders_are_refused(saved: tuple[Any, str, Path], tmp_path: Path) -> None:
    shop, _, folder = saved
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    with pytest.raises(BackupError, match="something else"):
        backup(shop.project, tmp_path / "taken")
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["thesis.txt"]
    for inside in (shop.project.state.root / "backup", shop.root, shop.root.parent):
        with pytest.raises(BackupError):
            backup(shop.project, inside)
    with pytest.raises(BackupError, match="no whole backup"):
        restore(shop.project, tmp_path / "nowhere")
    (folder / ".mtac-backup").write_text('{"schema_version": 1, "package": "bakery"}')
    for act in (backup, restore):
        with pytest.raises(BackupError, match="bakery"):
            act(shop.project, folder)


def test_a_place_that_cannot_be_written_to_is_named(stocked: Any) -> None:
    stocked.record()
    with pytest.raises(BackupError, match="cannot be written"):
        backup(stocked.project, Path("/proc/backup"))
