"""The pack: a folder with all there is to know of one trained model. No torch here: everyone may open and verify one.

`pack.json` is written last and vouches for every other file; a folder without it is a training that has not ended.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtac_assets.provenance.digest import sha256_file
from mtac_assets.provenance.files import json_bytes, read_json, write_atomic
from mtac_assets.spec import clock
from mtac_assets.spec.errors import Finding, raise_all
from mtac_assets.training.errors import PackInvalid
from mtac_assets.training.stored_tensors import stored_digests

SCHEMA_VERSION = 1
SEAL = "pack.json"
WEIGHTS = "model.safetensors"
DOCUMENTS = (
    "model.json",
    "recipe.json",
    "declaration.json",
    "training.json",
    "environment.json",
    "digests.json",
    "losses.json",
    "golden.json",
)
# Of the folder, but not of the model: how it came to be, attempt by attempt.
NOT_SEALED = (
    "progress.jsonl",
    "failure.json",
    ".lease.json",
    ".lease.json.lock",
    ".lease.json.lock.next",
    ".trace.json",
    ".usage.json",
    SEAL,
)


@dataclass(frozen=True)
class Pack:
    """A sealed pack in `folder`. `seal` is `pack.json`; other documents are read when asked for."""

    folder: Path
    seal: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Pack:
        """Raises PackInvalid where `folder` is no sealed pack, or a file of it is missing or has another size."""
        path = folder / SEAL
        if not path.is_file():
            raise PackInvalid(
                Finding(
                    "there is no finished model here",
                    str(folder),
                    f"a folder with {SEAL}",
                    "train it, or name another folder",
                )
            )
        try:
            seal = read_json(path)
            files = {name: int(entry["size"]) for name, entry in seal["files"].items()}
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
            finding = Finding(f"not readable: {error!r}", str(path), "a pack's seal", "fetch or train the model again")
            raise PackInvalid(finding) from error
        pack = cls(folder, seal)
        raise_all(PackInvalid, pack._size_findings(files))
        return pack

    @property
    def weights_digest(self) -> str:
        return self.seal["weights_digest"]

    @property
    def fingerprint(self) -> str:
        return self.seal["fingerprint"]

    @property
    def model_id(self) -> str:
        return self.seal["model_id"]

    @property
    def files(self) -> tuple[str, ...]:
        """Every sealed file, relative to the folder, `pack.json` not among them."""
        return tuple(self.seal["files"])

    def document(self, name: str) -> dict[str, Any]:
        """One of DOCUMENTS, by name with or without `.json`."""
        return read_json(self.folder / (name if name.endswith(".json") else f"{name}.json"))

    @property
    def segments(self) -> list[dict[str, Any]]:
        return self.document("digests")["segments"]

    def verify(self) -> None:
        """Hash every file, and every tensor of the weights. PackInvalid names each that differs."""
        findings = [
            Finding(
                f"{name} is not the file that was sealed",
                str(self.folder / name),
                f"SHA-256 {entry['sha256']}",
                "fetch the model again; if it is the same, do not use it",
            )
            for name, entry in self.seal["files"].items()
            if sha256_file(self.folder / name) != entry["sha256"]
        ]
        raise_all(PackInvalid, findings or list(self._tensor_findings()))

    def _tensor_findings(self) -> Iterator[Finding]:
        path = self.folder / WEIGHTS
        try:
            digest, each = stored_digests(path)
        except ValueError as error:
            yield Finding(str(error), str(path), "a safetensors file", "fetch the model again")
            return
        recorded = self.document("digests")
        names = sorted(each.keys() | recorded["tensors"].keys())
        for name in names:
            if each.get(name) != recorded["tensors"].get(name):
                yield Finding(f"the tensor {name} differs", str(path), "the recorded digest", "fetch the model again")
        if not digest == recorded["weights_digest"] == self.weights_digest:
            yield Finding(f"the weights digest is {digest}", str(path), self.weights_digest, "fetch the model again")

    def _size_findings(self, files: dict[str, int]) -> Iterator[Finding]:
        for name, size in files.items():
            path = self.folder / name
            found = path.stat().st_size if path.is_file() else None
            if found != size:
                error = "is missing" if found is None else f"has {found} bytes"
                yield Finding(f"{name} {error}", str(path), f"{size} bytes", "fetch the model again")


def seal(folder: Path, model_id: str, fingerprint: str, weights_digest: str) -> Pack:
    """Write `pack.json` over all files of `folder`; from then on it is a pack."""
    files = {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in NOT_SEALED and not path.name.startswith((".tmp-", "failure."))
    }
    document = {
        "schema_version": SCHEMA_VERSION,
        "model_id": model_id,
        "fingerprint": fingerprint,
        "weights_digest": weights_digest,
        "files": files,
        "sealed_at": clock.timestamp(),
    }
    write_atomic(folder / SEAL, json_bytes(document))
    return Pack.open(folder)
