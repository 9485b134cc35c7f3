"""Every model is a commit: complete, idempotent, and nothing of the user's is touched; in every kind of repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.provenance import ledger, record, refs
from mtac_assets.provenance.git import GitError, Repository
from mtac_assets.provenance.record import RecordError
from mtac_assets.provenance.store import Pointer, Store


def user_state(shop: Any) -> tuple[str, ...]:
    """Index, working tree, branches and HEAD as the user sees them."""
    asked = (["status", "--porcelain"], ["ls-files", "--stage"], ["branch", "--list", "-v"], ["rev-parse", "HEAD"])
    return tuple(shop.git(*arguments) for arguments in asked)


def test_the_commit_holds_the_code_the_documents_and_pointers(stocked: Any) -> None:
    head = stocked.git("rev-parse", "HEAD")
    before = user_state(stocked)
    model_id = stocked.record()
    assert user_state(stocked) == before
    name = refs.MODELS + model_id
    assert stocked.git("rev-parse", f"{name}^") == head
    files = set(stocked.git("ls-tree", "-r", "--name-only", name).splitlines())
    assert set(stocked.git("ls-files").splitlines()) < files
    assert {
        "model/declaration.json",
        "model/recipe.json",
        "model/model.safetensors.dvc",
        "model/checkpoints/10.safetensors.dvc",
        "model/report/report.json",
        "model/report/report.html.dvc",
        "model/data/sales/2024-01-26.parquet.dvc",
        "model/data/sales/2024-01-26.json",
        "model/data/sales/2024-02-02.stamp.json",
        "model/requirements.txt",
        ".dvc/config",
    } <= files
    assert not {file for file in files if file.endswith((".safetensors", ".parquet"))}


def test_every_pointer_has_its_object_in_the_store(stocked: Any) -> None:
    model_id = stocked.record()
    store = Store.of(stocked.project)
    repository = Repository.at(stocked.root)
    blobs = {path: blob for path, blob in refs.model_files(repository, model_id).items() if path.endswith(".dvc")}
    content = repository.read(blobs.values())
    assert len(blobs) == 8 + 3
    for path, blob in blobs.items():
        assert store.problem(Pointer.parse(content[blob] or b"", path)) is None


def test_plain_dvc_pull_in_a_checkout_brings_weights_and_data(stocked: Any, tmp_path: Path) -> None:
    model_id = stocked.record()
    checkout = tmp_path / "checkout"
    stocked.git("worktree", "add", "-q", "--detach", str(checkout), refs.MODELS + model_id)
    environment = os.environ | {"DVC_SITE_CACHE_DIR": str(tmp_path / "site"), "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "pull", "-q"], cwd=checkout, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (checkout / "model" / "model.safetensors").read_bytes() == b"weights"
    assert (checkout / "model" / "data" / "sales" / "2024-01-26.parquet").read_bytes() == b"rows of 2024-01-26"
    assert stocked.git("status", "--porcelain", "--untracked-files=all", folder=checkout) == ""


def test_recording_again_is_a_no_op_and_a_new_report_a_further_commit(stocked: Any) -> None:
    model_id = stocked.record()
    first = stocked.git("rev-parse", refs.MODELS + model_id)
    assert stocked.record() == model_id
    assert stocked.git("rev-parse", refs.MODELS + model_id) == first
    stocked.record(roc_auc=0.8)
    second = stocked.git("rev-parse", refs.MODELS + model_id)
    assert stocked.git("rev-parse", f"{second}^2") == first
    assert refs.find_model(stocked.project, model_id).metrics["roc_auc"]["value"] == 0.8


def test_other_weights_under_the_same_fingerprint_are_refused(stocked: Any) -> None:
    stocked.record()
    with pytest.raises(RecordError, match="other weights"):
        stocked.record(weights=b"others!")


def test_code_that_changed_since_training_is_refused_by_name(stocked: Any) -> None:
    pack = stocked.pack()
    stocked.edit("shop/calendar.py", "return 7", "return 8")
    with pytest.raises(RecordError, match=r"shop/calendar\.py::unused"):
        record.record_model(stocked.project, stocked.resolve(), pack, None)


def test_an_edited_declaration_and_a_damaged_pack_are_refused(stocked: Any) -> None:
    pack = stocked.pack()
    (pack / "model.safetensors").write_bytes(b"weightz")
    with pytest.raises(RecordError, match=r"model\.safetensors is damaged"):
        record.record_model(stocked.project, stocked.resolve(), pack, None)


def test_a_dirty_tree_is_a_marked_snapshot_without_other_untracked_files(stocked: Any) -> None:
    stocked.edit("README.md", "A shop.", "Our shop.")
    stocked.edit("shop/defs/demand/features.py", "from beside", "from aside")
    stocked.write("shop/defs/demand/aside.py", "def scale(x):\n    return x\n")
    stocked.write("secret.txt", "password")
    stocked.git("rm", "-q", "--cached", "shop/web.py")
    before = user_state(stocked)
    model_id = stocked.record()
    assert user_state(stocked) == before
    assert refs.find_model(stocked.project, model_id).dirty
    name = refs.MODELS + model_id
    files = stocked.git("ls-tree", "-r", "--name-only", name).splitlines()
    assert "shop/defs/demand/aside.py" in files
    assert "secret.txt" not in files
    assert "Our shop." in stocked.git("show", f"{name}:README.md")


def test_a_clean_tree_is_not_marked(stocked: Any) -> None:
    summary = refs.find_model(stocked.project, stocked.record())
    assert not summary.dirty
    assert (summary.branch, summary.actor, summary.trigger) == ("main", "ada", "test")


def test_a_detached_head_a_worktree_and_no_user_name(stocked: Any, tmp_path: Path) -> None:
    stocked.git("checkout", "-q", "--detach")
    model_id = stocked.record()
    summary = refs.find_model(stocked.project, model_id)
    assert summary.branch is None
    assert stocked.git("log", "-1", "--format=%cn <%ce>", summary.commit) == "mtac <mtac@localhost>"
    other = type(stocked)(tmp_path / "worktree")
    stocked.git("worktree", "add", "-q", "-b", "side", str(other.root))
    other.stock()
    assert other.record("training.seed=9") in refs.model_ids(stocked.project)


def test_a_shallow_clone_and_a_bare_mirror(stocked: Any, tmp_path: Path) -> None:
    stocked.edit("README.md", "A shop.", "Our shop.")
    stocked.commit()
    shallow = type(stocked)(tmp_path / "shallow")
    stocked.git("clone", "-q", "--depth=1", f"file://{stocked.root}", str(shallow.root))
    shallow.stock()
    model_id = shallow.record()
    mirror = tmp_path / "mirror.git"
    stocked.record()
    stocked.git("clone", "-q", "--mirror", str(stocked.root), str(mirror))
    (summary,) = refs.list_models(Repository.at(mirror))
    assert summary.model_id == model_id  # the same identity, made in two clones
    assert json.loads(refs.read_model_file(Repository.at(mirror), model_id, "recipe.json"))["name"] == "demand"


def test_a_project_in_a_folder_of_its_repository(stocked: Any, tmp_path: Path) -> None:
    inner = type(stocked)(tmp_path / "mono" / "team" / "shop")
    inner.root.parent.mkdir(parents=True)
    stocked.git("init", "-q", str(tmp_path / "mono"))
    stocked.git("archive", "--format=tar", "-o", str(tmp_path / "shop.tar"), "HEAD")
    inner.root.mkdir()
    subprocess.run(["tar", "-xf", str(tmp_path / "shop.tar"), "-C", str(inner.root)], check=True)
    inner.commit()
    inner.stock()
    model_id = inner.record()
    assert "team/shop/model/recipe.json" in inner.git(
        "ls-tree", "-r", "--full-tree", "--name-only", refs.MODELS + model_id
    )
    assert refs.read_model_file(inner.project, model_id, "declaration.json")
    assert not refs.find_model(inner.project, model_id).dirty


def test_without_a_repository_it_says_what_is_missing(stocked: Any) -> None:
    (stocked.root / ".git").rename(stocked.root / "git-moved")
    with pytest.raises(GitError, match="git init"):
        stocked.record()


def test_variables_of_a_git_hook_do_not_move_the_recording(
    stocked: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere.git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    resolved = stocked.resolve()
    pack = stocked.pack(resolved)
    commit = record.record_model(stocked.project, resolved, pack, None)
    monkeypatch.undo()
    assert stocked.git("rev-parse", refs.MODELS + pack.name) == commit


def test_the_heads_of_the_ledgers_are_anchored(stocked: Any) -> None:
    entry = ledger.append(
        stocked.project, "local", kind="note", recipe="demand", model_id=None, actor="ada", reason="a start"
    )
    summary = refs.find_model(stocked.project, stocked.record())
    assert summary.ledger == {"local": {"sequence": 1, "digest": entry.digest}}


def test_two_models_differ_in_what_they_are_and_not_in_what_their_attempts_left_behind(stocked: Any) -> None:
    """`git diff` of two models: another seed, another fingerprint, other weights, and no lease, log or lock."""
    names = {".lease.json", ".lease.json.lock", ".lease.json.lock.next", "progress.jsonl", ".usage.json"}
    models: list[str] = []
    for seed in (1, 2):
        resolved = stocked.resolve(f"training.seed={seed}")
        pack = stocked.pack(resolved, weights=bytes([seed]))
        for name in names:
            (pack / name).write_text(f"attempt of {seed}")
        models.append(record.record_model(stocked.project, resolved, pack, None))
    changed = stocked.git("diff", "--name-only", *models).splitlines()
    assert changed == [
        "model/checkpoints/10.safetensors.dvc",
        "model/declaration.json",
        "model/digests.json",
        "model/model.safetensors.dvc",
        "model/pack.json",
        "model/recipe.json",
    ]
