"""A dataset's own history: whole trees that Git finds sound, whatever the process remembers of the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mtac_assets.provenance.git import DATA
from mtac_assets.provenance.record_data import record_data


def test_data_has_a_history_of_its_own(stocked: Any) -> None:
    first = record_data(stocked.project, "sales", ["2024-01-26", "2024-01-27"])
    assert first is not None
    assert record_data(stocked.project, "sales", []) is None
    stocked.partition("2024-01-26", "corrected")
    second = record_data(stocked.project, "sales", ["2024-01-26"])
    assert stocked.git("rev-parse", f"{second}^") == first
    changed = stocked.git("diff", "--name-only", str(first), str(second)).splitlines()
    assert all("2024-01-26" in name for name in changed)
    assert len(changed) == 3
    assert stocked.git("rev-parse", DATA + "sales") == second


def test_the_tree_is_what_git_makes_of_the_files(stocked: Any) -> None:
    commit = record_data(stocked.project, "sales", ["2024-01-26"])
    folder = stocked.project.state.data / "sales"
    files = sorted(path for path in folder.iterdir() if path.name.endswith((".json", ".parquet.dvc")))
    ids = stocked.git("hash-object", *map(str, files)).splitlines()
    listed = [f"100644 blob {blob}\tsales/{path.name}" for path, blob in zip(files, ids, strict=True)]
    assert stocked.git("ls-tree", "-r", str(commit)).splitlines() == listed
    assert stocked.git("fsck", "--strict", "--no-dangling", "--no-progress", DATA + "sales") == ""


def test_what_is_remembered_of_files_follows_them(stocked: Any) -> None:
    """Of files that were last written long ago, which are the ones that are not read again."""
    stocked.age()
    first = record_data(stocked.project, "sales", ["2024-01-26"])
    stocked.partition("2024-01-26", "corrected")
    second = record_data(stocked.project, "sales", ["2024-01-26"])
    manifest = stocked.project.state.data / "sales" / "2024-01-26.json"
    assert stocked.git("show", f"{second}:sales/{manifest.name}") == manifest.read_text().strip()
    assert len(stocked.git("diff", "--name-only", str(first), str(second)).splitlines()) == 3


def test_objects_that_git_has_lost_are_written_again(stocked: Any) -> None:
    stocked.age()
    commit = record_data(stocked.project, "sales", ["2024-01-26"])
    stocked.git("update-ref", "-d", DATA + "sales")
    stocked.git("reflog", "expire", "--expire=all", "--all")
    stocked.git("prune", "--expire=now")
    assert not _there(stocked, str(commit))
    again = record_data(stocked.project, "sales", ["2024-01-26"])
    assert stocked.git("fsck", "--strict", "--no-dangling", "--no-progress", str(again)) == ""


def _there(shop: Any, commit: str) -> bool:
    folder = Path(shop.git("rev-parse", "--git-path", "objects"))
    return (shop.project.root / folder / commit[:2] / commit[2:]).exists()
