"""Digests of tensors: what says that two models, or two states of a training, are equal in every bit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

from mtac_assets.provenance.digest import digest_json
from mtac_assets.training.stored_tensors import header

_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 over the dtype (as safetensors names it), the shape, and the bytes in row-major order."""
    plain = tensor.detach().cpu().contiguous()
    digest = hashlib.sha256(header(_NAMES[plain.dtype], plain.shape))
    digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def digests(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Each tensor's digest, by name in sorted order."""
    return {name: tensor_digest(tensors[name]) for name in sorted(tensors)}


def weights_digest(tensors: Mapping[str, Tensor]) -> tuple[str, dict[str, str]]:
    """One digest over all names and tensor digests, and the digests by name."""
    each = digests(tensors)
    return digest_json(each), each
