from __future__ import annotations

import pytest
import safetensors.torch
import torch

from mtac_assets.training.stored_tensors import stored_digests
from mtac_assets.training.tensors import tensor_digest, weights_digest

TENSORS = {
    "b": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "a": torch.tensor([1, 2], dtype=torch.int64),
    "scalar": torch.tensor(1.5, dtype=torch.bfloat16),
    "empty": torch.zeros(0, 4),
}


def test_the_digest_of_a_file_is_that_of_its_tensors(tmp_path):
    path = tmp_path / "t.safetensors"
    path.write_bytes(safetensors.torch.save(TENSORS))
    assert stored_digests(path) == weights_digest(TENSORS)


def test_one_bit_one_name_one_shape_or_one_type_is_another_digest():
    base = weights_digest(TENSORS)[0]
    flipped = TENSORS["b"].clone()
    flipped.view(torch.int32)[1, 2] ^= 1
    others = [
        TENSORS | {"b": flipped},
        TENSORS | {"b": TENSORS["b"].reshape(3, 2)},
        TENSORS | {"a": TENSORS["a"].int()},
        {("c" if name == "b" else name): tensor for name, tensor in TENSORS.items()},
    ]
    assert base not in {weights_digest(other)[0] for other in others}
    assert weights_digest(dict(reversed(TENSORS.items())))[0] == base


def test_the_digest_does_not_depend_on_strides():
    assert tensor_digest(TENSORS["b"].T.contiguous().T) == tensor_digest(TENSORS["b"])


@pytest.mark.parametrize("data", [b"", b"\xff" * 20, (2**40).to_bytes(8, "little") + b"{}"])
def test_what_is_no_safetensors_file_is_a_value_error(tmp_path, data):
    path = tmp_path / "t.safetensors"
    path.write_bytes(data)
    with pytest.raises(ValueError, match="safetensors"):
        stored_digests(path)
