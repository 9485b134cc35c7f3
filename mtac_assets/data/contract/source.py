"""A dataset's contract.py as a file: where it lies, what it may import, and the digest that its stamps carry.

The digest needs only the syntax tree, so training can insist on stamps without importing pandera. Loading it is `load`'s matter.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mtac_assets.provenance.digest import digest_json
from mtac_assets.provenance.syntax import read_source
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.dataset import Dataset


class ContractError(MtacError):
    """A contract that cannot be used as it is written."""


def contract_path(dataset: Dataset, folder: Path) -> Path:
    """The file that holds the contract of the dataset in `folder`."""
    module, _, _ = dataset.contract.schema.partition(":")  # pyright: ignore[reportAttributeAccessIssue]
    return folder.joinpath(*module.split(".")).with_suffix(".py")


def contract_digest(dataset: Dataset, folder: Path) -> str:
    """Digest of all that decides the verdict: contract.py without comments, and what dataset.yaml says about rows.

    Raises ContractError where contract.py is missing, is no Python, or imports code that this digest would not cover.
    """
    path = contract_path(dataset, folder)
    try:
        source = path.read_bytes()
        leaves = _leaves(source, str(path))
    except FileNotFoundError:
        raise ContractError(
            Finding("the contract does not exist", str(path), f"the file that `contract.schema` names: {reference(dataset)}",
                    "write it, or correct contract.schema in dataset.yaml")
        ) from None  # fmt: skip
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise ContractError(
            Finding(f"not valid Python: {error}", f"{path}:{line}", "a Python file", "correct it")
        ) from None
    _refuse_own_imports(source, path)
    document = dataset.model_dump(mode="json", include={"key", "contract", "partitions"})
    document["partitions"] = {"kind": document["partitions"]["kind"], "date": document["partitions"].get("date")}
    return digest_json({"python": leaves, "dataset": document})


@lru_cache(maxsize=64)
def _leaves(source: bytes, path: str) -> Mapping[str, str]:
    """Digests by function: the same bytes are parsed once a process, for sensors ask at every look."""
    return read_source(source, path).leaves


@lru_cache(maxsize=64)
def _imports(source: bytes) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """Line and names of every import."""
    found: list[tuple[int, tuple[str, ...]]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            found.append((node.lineno, (("." * node.level) + (node.module or ""),)))
        elif isinstance(node, ast.Import):
            found.append((node.lineno, tuple(alias.name for alias in node.names)))
    return tuple(found)


def reference(dataset: Dataset) -> str:
    return str(dataset.contract.schema)


def _refuse_own_imports(source: bytes, path: Path) -> None:
    """A contract stands alone: the project's other modules are not in its digest, so they may not decide a verdict."""
    siblings = {other.stem for other in path.parent.glob("*.py")}
    root = __name__.partition(".")[0]
    found = []
    for line, names in _imports(source):
        found += [
            Finding(
                f"imports {name}",
                f"{path}:{line}",
                "a contract that stands alone, so that its digest covers all that decides",
                "copy what it needs into this file",
            )
            for name in names
            if name.startswith(".") or name.partition(".")[0] in {root, *siblings}
        ]
    if found:
        raise ContractError(*found)
