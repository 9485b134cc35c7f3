"""A sealed pack notices whatever is done to it afterwards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mtac_assets.provenance.digest import sha256_file
from mtac_assets.training.errors import PackInvalid
from mtac_assets.training.pack import Pack
from mtac_assets.training.predict import load


@pytest.fixture
def pack(uninterrupted: Path, tmp_path: Path) -> Pack:
    """A copy to be tampered with."""
    return Pack.open(Path(shutil.copytree(uninterrupted, tmp_path / "pack")))


def reseal(pack: Pack, name: str) -> Pack:
    """Make the seal agree with a tampered file: what someone would do who wants it to pass."""
    path = pack.folder / name
    seal = json.loads((pack.folder / "pack.json").read_text())
    seal["files"][name] = {"size": path.stat().st_size, "sha256": sha256_file(path)}
    (pack.folder / "pack.json").write_text(json.dumps(seal))
    return Pack.open(pack.folder)


def flip_last_bit_of_a_weight(pack: Pack) -> str:
    path = pack.folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors["head_KD"].view(torch.int32)[0, 0, 0] ^= 1
    path.write_bytes(safetensors.torch.save(tensors))
    return "head_KD"


def test_a_pack_is_what_was_sealed(pack):
    pack.verify()
    assert set(pack.files) >= {"model.safetensors", "recipe.json", "checkpoints/step-0000000005.safetensors"}
    assert not any("lease" in name or name == "progress.jsonl" for name in pack.files)
    load(pack.folder)


def test_one_bit_of_one_weight_is_found_and_the_tensor_named_even_under_a_new_seal(pack):
    name = flip_last_bit_of_a_weight(pack)
    with pytest.raises(PackInvalid, match=r"model\.safetensors is not the file that was sealed"):
        pack.verify()
    with pytest.raises(PackInvalid, match=f"the tensor {name} differs"):
        reseal(pack, "model.safetensors").verify()


@pytest.mark.parametrize("name", ["model.safetensors", "golden.json", "checkpoints/step-0000000010.json"])
def test_a_missing_or_shortened_file_is_found_at_opening(pack, name):
    data = (pack.folder / name).read_bytes()
    (pack.folder / name).write_bytes(data[:-1])
    with pytest.raises(PackInvalid, match=f"has {len(data) - 1} bytes"):
        Pack.open(pack.folder)
    (pack.folder / name).unlink()
    with pytest.raises(PackInvalid, match="is missing"):
        Pack.open(pack.folder)


def test_a_folder_without_a_seal_is_no_pack(pack):
    (pack.folder / "pack.json").unlink()
    with pytest.raises(PackInvalid, match="no finished model"):
        Pack.open(pack.folder)


@pytest.mark.parametrize("seal", [b"", b"{}", b"[]", b"\x80", b'{"files": {"a": 1}}'])
def test_an_unreadable_seal_is_refused(pack, seal):
    (pack.folder / "pack.json").write_bytes(seal)
    with pytest.raises(PackInvalid, match="not readable"):
        Pack.open(pack.folder)


def test_a_model_that_scores_its_golden_rows_otherwise_is_not_loaded(pack):
    path = pack.folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors["head_bias_K"] += 0.01
    path.write_bytes(safetensors.torch.save(tensors))
    with pytest.raises(PackInvalid, match="golden row"):
        load(reseal(pack, "model.safetensors").folder)


def test_weights_of_another_network_are_not_loaded(pack):
    path = pack.folder / "model.safetensors"
    path.write_bytes(safetensors.torch.save({"other": torch.zeros(3)}))
    with pytest.raises(PackInvalid, match="do not load"):
        load(reseal(pack, "model.safetensors").folder)


def test_a_pickle_in_the_place_of_the_weights_is_never_opened(pack, tmp_path):
    import pickle

    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "sprung",)

    (pack.folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(PackInvalid):
        reseal(pack, "model.safetensors").verify()
    with pytest.raises(PackInvalid):
        load(pack.folder)
    assert not (tmp_path / "sprung").exists()
