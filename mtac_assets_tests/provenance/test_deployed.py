"""An image's layout, made by the script that the Dockerfile runs, laid down in the deployment's repository."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from mtac_assets.provenance import deployed
from mtac_assets.provenance.git import GitError, Repository
from mtac_assets.provenance.image import DIGEST_VARIABLE, FOLDER_VARIABLE, Image, ImageDamaged, image
from mtac_assets.provenance.snapshot import private_index, take_snapshot
from mtac_assets_tests.conftest import ROOT


@dataclass
class Built:
    project: Path
    folder: Path
    image: Image


class Shop:
    """A clone whose commits become images of one deployment."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source, self.repository = folder, folder / "source", folder / "srv" / "repository.git"
        self.source.mkdir()
        self.git("init", "-q", "-b", "main")
        (self.source / "constraints.txt").write_text("numpy==2.0\n")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=self.source, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, text: str) -> str:
        (self.source / "code.py").write_text(text)
        self.git("add", "-A")
        self.git("commit", "-qm", text)
        return self.git("rev-parse", "HEAD")

    def build(self, name: str) -> Built:
        project, baked = self.folder / name / "app", self.folder / name / "image"
        script = [str(ROOT / "deploy" / "lay_out.sh"), str(self.source), str(project), str(baked), str(self.repository)]
        subprocess.run(script, check=True, capture_output=True)
        found = json.loads((baked / "image.json").read_text())
        return Built(project, baked, Image(found["commit"], found["lock"], None))

    def deploy(self, built: Built) -> Repository:
        repository = deployed.open_repository(self.repository)
        deployed.lay_down(built.project, repository, built.image, built.folder)
        return repository


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path)
    made.commit("one")
    return made


def test_an_images_code_is_a_clean_worktree_of_the_deployments_repository(shop: Shop) -> None:
    (shop.source / "untracked-secret").write_text("hunter2")
    built = shop.build("first")
    assert not (built.project / "untracked-secret").exists()
    repository = shop.deploy(built)
    checkout = Repository.at(built.project)
    assert checkout.top == built.project
    assert checkout.resolve("HEAD") == built.image.commit == repository.resolve("refs/heads/main")
    with private_index(checkout) as index:
        assert not take_snapshot(checkout, [], index).dirty
    head = repository.git_dir / "worktrees" / f"code-{built.image.commit[:12]}" / "HEAD"
    before = head.stat().st_mtime_ns
    shop.deploy(built)
    assert head.stat().st_mtime_ns == before, "again: nothing is written"


def test_what_was_recorded_outlives_an_upgrade_and_a_roll_back(shop: Shop) -> None:
    old = shop.build("old")
    shop.deploy(old)
    Repository.at(old.project).move("refs/mtac/ledger/production", old.image.commit, None)
    second = shop.commit("two")
    new = shop.build("new")
    repository = shop.deploy(new)
    assert Repository.at(new.project).resolve("refs/mtac/ledger/production") == old.image.commit
    shop.deploy(old)
    assert Repository.at(old.project).resolve("HEAD") == old.image.commit
    assert repository.resolve("refs/heads/main") == second, "a branch follows images forward, never back"


def test_a_branch_that_went_another_way_is_refused(shop: Shop) -> None:
    first = shop.git("rev-parse", "HEAD")
    shop.commit("two")
    repository = shop.deploy(shop.build("ours"))
    shop.git("reset", "-q", "--hard", first)
    shop.commit("another two")
    other = shop.build("other")
    before = repository.resolve("refs/heads/main")
    with pytest.raises(GitError, match="gone another way"):
        shop.deploy(other)
    assert repository.resolve("refs/heads/main") == before


def test_a_project_folder_that_leads_elsewhere_is_refused(shop: Shop) -> None:
    built = shop.build("first")
    (built.project / ".git").write_text("gitdir: /srv/another.git/worktrees/code\n")
    with pytest.raises(GitError, match="no worktree of the deployment's repository"):
        shop.deploy(built)


def test_the_image_is_known_by_its_variables(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert image() is None
    built = shop.build("first")
    monkeypatch.setenv(FOLDER_VARIABLE, str(built.folder))
    assert image() == built.image
    monkeypatch.setenv(DIGEST_VARIABLE, "sha256:1234")
    assert image() == Image(built.image.commit, built.image.lock, "sha256:1234")
    (built.folder / "image.json").write_text("{}")
    with pytest.raises(ImageDamaged, match=r"image\.json"):
        image()
