"""Signatures by real keys: what nobody on the list signed is named, freezes promotions and fails a gate; without a key nothing is written."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.doctor import records
from mtac_assets.promotion.errors import PromotionFrozen
from mtac_assets.promotion.gates import judge
from mtac_assets.promotion.transition import require_sound_ledger
from mtac_assets.provenance import ledger, signatures
from mtac_assets.provenance.git import GitError, Repository
from mtac_assets.spec.environment import Signing
from mtac_assets.spec.project import Project
from mtac_assets.spec.recipe import Gates
from mtac_assets_tests.promotion.test_gates import GOOD


def make_key(shop: Any, name: str) -> Path:
    """A key in the project's folder, that Git signs with from now on."""
    key = shop.root / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)], check=True)
    for setting, value in (("gpg.format", "ssh"), ("user.signingkey", str(key)), ("commit.gpgsign", "true")):
        shop.git("config", setting, value)
    return key


def enlist(shop: Any, *keys: Path) -> None:
    lines = [f"{key.name} {key.with_suffix('.pub').read_text()}" for key in keys]
    (shop.root / "signers").write_text("".join(lines))


def requiring(shop: Any, **more: Any) -> Project:
    signing = Signing(required=True, allowed_signers="signers", **more)
    environment = shop.project.environment
    promotion = environment.promotion.model_copy(update={"signing": signing})
    return replace(shop.project, environment=environment.model_copy(update={"promotion": promotion}))


def add(project: Project) -> ledger.Entry:
    return ledger.append(project, "local", kind="note", recipe="demand", model_id=None, actor="ada", reason="because")


def test_entries_that_nobody_on_the_list_signed_freeze_promotions(shop: Any) -> None:
    add(shop.project)
    deployment = make_key(shop, "deployment")
    enlist(shop, deployment)
    project = requiring(shop)
    add(project)
    make_key(shop, "stranger")
    add(project)
    first, third = signatures.ledger_problems(project)
    assert "has no signature" in first.error
    assert first.where.endswith("entry 1")
    assert "not on the list" in third.error
    assert third.where.endswith("entry 3")
    with pytest.raises(PromotionFrozen, match="entry 1"):
        require_sound_ledger(project)
    enlist(shop, deployment, shop.root / "stranger")
    require_sound_ledger(requiring(shop, from_entry=2))
    require_sound_ledger(shop.project)  # where none is required


def test_where_git_cannot_sign_nothing_is_written(shop: Any) -> None:
    enlist(shop)
    project = requiring(shop)
    with pytest.raises(GitError, match="not set up to sign"):
        add(project)
    assert ledger.entries(project, "local") == []
    (finding,) = records.signing(project).problems
    assert "not set up to sign" in finding.error
    key = make_key(shop, "deployment")
    assert "not accepted" in records.signing(project).problems[0].error
    enlist(shop, key)
    assert records.signing(project).state == "good"
    key.unlink()
    assert "cannot sign" in records.signing(project).problems[0].error
    with pytest.raises(GitError):
        add(project)
    assert ledger.entries(project, "local") == []
    (shop.root / "signers").unlink()
    with pytest.raises(GitError, match="list of allowed signers"):
        signatures.unsigned(project, [shop.git("rev-parse", "HEAD")])


def test_a_models_commit_without_a_signature_fails_its_gate(shop: Any) -> None:
    enlist(shop, make_key(shop, "deployment"))
    project = requiring(shop)
    plain = shop.git("-c", "user.name=x", "-c", "user.email=x", "commit-tree", "HEAD^{tree}", "-m", "a model")
    signed = Repository.at(shop.root).commit(shop.git("rev-parse", "HEAD^{tree}"), [], "a model\n")
    assert signatures.unsigned(project, [plain, signed]) == {plain: "it has no signature"}
    rules = project.environment.promotion
    for why, passed in (("it has no signature", False), (None, True)):
        (verdict,) = [one for one in judge(replace(GOOD, unsigned=why), Gates(), rules) if one.gate == "signature"]
        assert verdict.passed is passed
    assert not [one for one in judge(GOOD, Gates(), shop.project.environment.promotion) if one.gate == "signature"]


def test_the_doctor_says_by_whom_commits_are(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.git("config", "user.name", "Ada")
    shop.git("config", "user.email", "ada@example.org")
    assert "commits are by Ada <ada@example.org>" in records.git(shop.project).says
    for name in ("user.name", "user.email"):
        shop.git("config", "--unset", name)
    monkeypatch.setenv("HOME", str(shop.root / "nobody"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for role in ("COMMITTER", "AUTHOR"):
        for part in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{role}_{part}", raising=False)
    found = records.git(shop.project)
    assert "mtac <mtac@localhost>" in found.says
    assert "knows no name" in found.worries[0].error
    assert "git config --global user.name" in found.worries[0].remedy
