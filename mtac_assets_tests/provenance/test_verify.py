"""Verification: one changed bit anywhere is found and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.provenance import refs
from mtac_assets.provenance.git import MODELS
from mtac_assets.provenance.verify import verify_all, verify_model


@pytest.fixture
def recorded(stocked: Any) -> tuple[Any, str]:
    return stocked, stocked.record()


def errors(shop: Any, model_id: str) -> str:
    return "\n".join(f"{finding.where}: {finding.error}" for finding in verify_model(shop.project, model_id))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_an_untouched_model_is_intact(recorded: tuple[Any, str]) -> None:
    shop, model_id = recorded
    assert verify_all(shop.project) == {model_id: []}


@pytest.mark.parametrize(
    "name", ["model/model.safetensors", "model/data/sales/2024-01-28.parquet", "model/report/report.html"]
)
def test_the_last_bit_of_an_object_in_the_store(recorded: tuple[Any, str], name: str) -> None:
    shop, model_id = recorded
    pointer = shop.git("show", f"{MODELS}{model_id}:{name}.dvc")
    md5 = pointer.split("md5: ")[1].split()[0]
    flip(shop.project.state.remote / "files" / "md5" / md5[:2] / md5[2:])
    assert f"{name.removeprefix('model/')}: the object of" in errors(shop, model_id)


def test_the_last_bit_of_the_weights_in_the_pack(recorded: tuple[Any, str]) -> None:
    shop, model_id = recorded
    flip(shop.project.state.models / model_id / "model.safetensors")
    assert "model.safetensors is damaged" in errors(shop, model_id)


def forge(shop: Any, model_id: str, name: str, edit: Any) -> None:
    """Put a commit with one file edited, and the same message, in the model's place."""
    path = shop.root / "forged"
    shop.git("worktree", "add", "-q", "--detach", str(path), MODELS + model_id)
    edit(path / name)
    message = shop.git("log", "-1", "--format=%B", MODELS + model_id)
    shop.git("add", "-A", folder=path)
    shop.git("-c", "user.name=x", "-c", "user.email=x", "commit", "-q", "-m", message, folder=path)
    shop.git("update-ref", MODELS + model_id, shop.git("rev-parse", "HEAD", folder=path))
    shop.git("worktree", "remove", "--force", str(path))


def change(field: str, value: Any) -> Any:
    def edit(path: Path) -> None:
        document = json.loads(path.read_text())
        *parents, last = field.split("/")
        inner = document
        for parent in parents:
            inner = inner[int(parent) if parent.isdecimal() else parent]
        inner[last] = value
        path.write_text(json.dumps(document))

    return edit


@pytest.mark.parametrize(
    ("name", "edit", "found"),
    [
        ("model/recipe.json", change("training/seed", 2), "recipe.training.seed is not what was declared"),
        ("model/declaration.json", change("leaves/recipe.training.threads", "2"), "leaves do not give"),
        (
            "model/data/sales/2024-01-28.json",
            change("content_digest", "0" * 64),
            "2024-01-28.json: is missing or of another",
        ),
        ("model/digests.json", change("weights_digest", "0" * 64), "weights digest"),
        ("model/digests.json", change("initial_digest", "0" * 64), "segment 0 does not start from the state before"),
        (
            "model/digests.json",
            change("segments/1/start_digest", "0" * 64),
            "segment 1 does not start from the state in",
        ),
        ("model/digests.json", change("segments/1/start_step", 9), "segment 1 goes from step 9 to 20"),
        ("model/digests.json", change("segments/1/end_step", 19), "end at step 19, the losses at step 20"),
        ("model/digests.json", change("segments", []), "lists no segments"),
        ("model/report/report.json", change("metrics/roc_auc/value", 0.99), "not the report"),
        ("model/model.json", change("schema_version", 2), "model.json: is not the file that the pack lists"),
    ],
)
def test_a_forged_document_in_the_commit(recorded: tuple[Any, str], name: str, edit: Any, found: str) -> None:
    shop, model_id = recorded
    forge(shop, model_id, name, edit)
    assert found in errors(shop, model_id)


def test_a_pointer_to_another_file_of_the_store(recorded: tuple[Any, str]) -> None:
    shop, model_id = recorded
    other = shop.git("show", f"{MODELS}{model_id}:model/checkpoints/10.safetensors.dvc").replace(
        "10.safetensors", "model.safetensors"
    )
    forge(shop, model_id, "model/model.safetensors.dvc", lambda path: path.write_text(other + "\n"))
    assert "model.safetensors: its pointer stands for another file" in errors(shop, model_id)


def test_an_unknown_model_is_refused(stocked: Any) -> None:
    with pytest.raises(refs.UnknownModelError):
        verify_model(stocked.project, "demand-000000000000")
