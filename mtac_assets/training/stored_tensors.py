"""Digests of tensors as they lie in a safetensors file, without torch: what `mtac verify` needs on any machine.

The file is an 8-byte little-endian length, a JSON header of that length (name to dtype, shape, offsets), and the bytes.
Source: the safetensors format, https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from mtac_assets.provenance.digest import digest_json

LARGEST_HEADER = 100_000_000


def header(dtype: str, shape: Sequence[int]) -> bytes:
    """What stands before a tensor's bytes in its digest."""
    return f"{dtype}|{','.join(map(str, shape))}|".encode()


def stored_digests(path: Path) -> tuple[str, dict[str, str]]:
    """The weights digest of the file at `path`, and each tensor's digest by name. ValueError where it is no safetensors file."""
    data = memoryview(path.read_bytes())
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(LARGEST_HEADER, len(data) - 8):
        raise ValueError(f"{path.name} is cut short or no safetensors file")
    entries = json.loads(bytes(data[8 : 8 + length]))
    body = data[8 + length :]
    each: dict[str, str] = {}
    for name in sorted(entries.keys() - {"__metadata__"}):
        entry = entries[name]
        start, end = entry["data_offsets"]
        if not 0 <= start <= end <= len(body):
            raise ValueError(f"{path.name}: the tensor {name} lies outside the file")
        digest = hashlib.sha256(header(entry["dtype"], entry["shape"]))
        digest.update(body[start:end])
        each[name] = digest.hexdigest()
    return digest_json(each), each
