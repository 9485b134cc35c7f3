"""Git by plumbing: what a command writes, read while it is still writing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.provenance import git
from mtac_assets.provenance.git import GitError, Repository

FORMAT = "--format=%(objectname) %(contents)%00"


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_records_are_whole_wherever_a_batch_ends(stocked: Any, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    stocked.record()
    for name in ("a", "b", "c"):
        stocked.git("update-ref", f"refs/mtac/models/{name}", "HEAD")
    repository = Repository.at(stocked.root)
    monkeypatch.setattr(git, "_BATCH_BYTES", size)
    records = [entry for batch in repository.records("for-each-ref", FORMAT, git.MODELS) for entry in batch]
    whole = repository.run("for-each-ref", FORMAT, git.MODELS).split(b"\0")
    assert [entry.strip() for entry in records] == [entry.strip() for entry in whole if entry.strip()]
    assert len(records) == 4


def test_what_git_says_of_a_failure_is_told(stocked: Any) -> None:
    with pytest.raises(GitError, match="nonsense"):
        list(Repository.at(stocked.root).records("for-each-ref", "--format=%(nonsense)"))


def test_a_reader_may_stop_early(stocked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stocked.record()
    monkeypatch.setattr(git, "_BATCH_BYTES", 8)
    batches = Repository.at(stocked.root).records("log", "-z", "--all", "--format=%H %B")
    assert next(batches) is not None
    batches.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_a_repository_that_took_anothers_place_is_noticed(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "a")], check=True)
    subprocess.run(
        ["git", "init", "-q", "--separate-git-dir", str(tmp_path / "apart"), str(tmp_path / "b")], check=True
    )
    here = tmp_path / "a"
    assert Repository.at(here).git_dir == here / ".git"
    assert Repository.at(here).git_dir == here / ".git", "asked again, from what is known"
    shutil.rmtree(here)
    (tmp_path / "b").rename(here)
    assert Repository.at(here).git_dir == tmp_path / "apart"
    (here / ".git").unlink()
    with pytest.raises(GitError, match="no usable Git repository"):
        Repository.at(here)
