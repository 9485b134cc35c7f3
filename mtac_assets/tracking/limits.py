"""What MLflow accepts as names and values, and how a nested document becomes flat parameters that fit.

Nothing is shortened in silence: a value that is too long says so, with its digest; the whole is in an artifact.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from mtac_assets.provenance.digest import sha256_bytes

PARAM_VALUE = 6000
TAG_VALUE = 8000
NAME = 250
BATCH_METRICS = 1000
BATCH_PARAMS_OR_TAGS = 100
DATASET_DIGEST = 36

_FORBIDDEN = re.compile(r"[^\w\-./ :]", re.ASCII)

T = TypeVar("T")


def flat_params(document: Mapping[str, Any]) -> dict[str, str]:
    """`{"training": {"epochs": 3}}` as `{"training.epochs": "3"}`; lists of plain values stay one JSON value.

    Distinct leaves keep distinct names, also where a name must be changed to be accepted.
    """
    return {fitting_name(name): fitting_value(_text(value), PARAM_VALUE) for name, value in _leaves(document, "")}


def fitting_name(name: str) -> str:
    """`name` if MLflow accepts it, else a readable form of it with eight digits of its digest."""
    cleaned = _FORBIDDEN.sub("_", name).strip("/") or "_"
    parts = cleaned.split("/")
    if cleaned == name and len(name) <= NAME and not any(part in ("", ".", "..") for part in parts):
        return name
    readable = cleaned.replace("/", "_").replace("..", "__")[: NAME - 9]
    return f"{readable}-{sha256_bytes(name.encode())[:8]}"


def fitting_value(text: str, limit: int) -> str:
    """`text` if it fits, else its beginning and a note of what was left out."""
    if len(text) <= limit:
        return text
    note = f"… ({len(text)} characters, sha256 {sha256_bytes(text.encode())})"
    return text[: limit - len(note)] + note


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in value):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{prefix}.{index}")
    else:
        yield prefix, value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
