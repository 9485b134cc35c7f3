"""Sharing: a clone and a fetch have everything; a half state is refused on either side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mtac_assets.provenance import ledger, refs, share, verify
from mtac_assets.provenance.share import ShareError
from mtac_assets.provenance.store import Store


def clone(shop: Any, path: Path) -> Any:
    shop.git("clone", "-q", str(shop.root), str(path))
    return type(shop)(path)


def promote(shop: Any, model_id: str, reason: str = "good") -> None:
    ledger.append(shop.project, "local", kind="promote", recipe="demand", model_id=model_id, actor="ada", reason=reason)


def stored(shop: Any) -> list[Path]:
    return sorted(path for path in shop.project.state.remote.rglob("*") if path.is_file())


def test_a_clone_and_a_fetch_have_everything(stocked: Any, tmp_path: Path) -> None:
    model_id = stocked.record()
    promote(stocked, model_id)
    other = clone(stocked, tmp_path / "clone")
    moved = share.fetch(other.project)
    assert set(moved.references) == {f"models/{model_id}", "ledger/local"}
    assert moved.objects == 8 + 3
    (summary,) = refs.list_models(other.project)
    assert (summary.model_id, summary.status) == (model_id, "champion")
    assert verify.verify_model(other.project, model_id) == []
    assert ledger.verify(other.project, "local") == []
    assert share.fetch(other.project) == share.Shared((), 0, 0)


def test_what_was_made_in_a_clone_is_pushed_back_with_its_objects(stocked: Any, tmp_path: Path) -> None:
    other = clone(stocked, tmp_path / "clone")
    other.stock()
    model_id = other.record()
    promote(other, model_id)
    moved = share.push(other.project)
    assert set(moved.references) == {f"models/{model_id}", "ledger/local"}
    assert verify.verify_model(stocked.project, model_id) == []
    assert share.push(other.project).references == ()


def test_references_without_their_objects_are_not_taken(stocked: Any, tmp_path: Path) -> None:
    model_id = stocked.record()
    stored(stocked)[0].unlink()
    other = clone(stocked, tmp_path / "clone")
    with pytest.raises(ShareError, match="not in the store"):
        share.fetch(other.project)
    assert model_id not in refs.model_ids(other.project)


def test_a_damaged_object_is_not_taken(stocked: Any, tmp_path: Path) -> None:
    stocked.record()
    victim = stored(stocked)[0]
    victim.write_bytes(bytes(len(victim.read_bytes())))
    other = clone(stocked, tmp_path / "clone")
    with pytest.raises(ShareError, match="damaged"):
        share.fetch(other.project)
    assert refs.model_ids(other.project) == []
    assert victim.name not in {path.name for path in stored(other)}


def test_an_object_that_the_store_lost_is_found_again_in_the_state(stocked: Any, tmp_path: Path) -> None:
    other = clone(stocked, tmp_path / "clone")
    other.stock()
    model_id = other.record()
    for path in stored(other):
        path.unlink()
    share.push(other.project)
    assert verify.verify_model(stocked.project, model_id) == []


def test_references_are_not_pushed_where_an_object_is_nowhere(stocked: Any, tmp_path: Path) -> None:
    other = clone(stocked, tmp_path / "clone")
    other.stock()
    model_id = other.record()
    for path in stored(other):
        path.unlink()
    (other.project.state.data / "sales" / "2024-01-28.parquet").unlink()
    with pytest.raises(ShareError, match="2024-01-28"):
        share.push(other.project)
    assert model_id not in refs.model_ids(stocked.project)


def test_a_forked_ledger_is_refused_on_both_sides(stocked: Any, tmp_path: Path) -> None:
    promote(stocked, "demand-0")
    other = clone(stocked, tmp_path / "clone")
    share.fetch(other.project)
    promote(stocked, "demand-1")
    promote(other, "demand-2")
    with pytest.raises(ShareError):
        share.push(other.project)
    with pytest.raises(ShareError, match="different ways"):
        share.fetch(other.project)
    assert len(ledger.entries(other.project, "local")) == 2


def test_a_bare_remote_without_a_declared_store_is_refused(stocked: Any, tmp_path: Path) -> None:
    stocked.record()
    stocked.git("clone", "-q", "--bare", str(stocked.root), str(tmp_path / "bare.git"))
    stocked.git("remote", "add", "origin", str(tmp_path / "bare.git"))
    with pytest.raises(ShareError, match=r"data\.remote"):
        share.push(stocked.project)


def test_a_bare_remote_with_a_declared_store(stocked: Any, tmp_path: Path) -> None:
    stocked.edit(
        "shop/environments/local.yaml", "state: .mtac", f"state: .mtac\ndata: {{remote: {tmp_path / 'store'}}}"
    )
    stocked.commit()
    model_id = stocked.record()
    stocked.git("clone", "-q", "--bare", str(stocked.root), str(tmp_path / "bare.git"))
    stocked.git("remote", "add", "origin", str(tmp_path / "bare.git"))
    assert share.push(stocked.project).references == (f"models/{model_id}",)
    other = type(stocked)(tmp_path / "other")
    stocked.git("clone", "-q", str(tmp_path / "bare.git"), str(other.root))
    share.fetch(other.project)
    assert Store.of(other.project).url == str(tmp_path / "store")
    assert verify.verify_model(other.project, model_id) == []
