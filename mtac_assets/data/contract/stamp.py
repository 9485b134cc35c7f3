"""The stamp: proof that a partition's content passed a contract. Training refuses any content without one.

A stamp vouches for one content digest under one contract digest; a change of either voids it.
Imports neither pandas nor pandera, so that the trainer can insist on stamps in a bare container.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mtac_assets.data.partitions import Manifest, read_manifest, stamp_path
from mtac_assets.provenance.document import known_object
from mtac_assets.spec import clock
from mtac_assets.spec.errors import CheckFailed, Finding, MtacError

SCHEMA_VERSION = 1


class Unstamped(CheckFailed):
    """Partitions whose content did not pass the contract in force."""


@dataclass(frozen=True)
class CheckResult:
    """One check of one partition: its verdict, and the numbers that it rests on. Partitions may share an equal one."""

    name: str
    passed: bool
    evidence: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        return {"name": self.name, "passed": self.passed, "evidence": dict(self.evidence)}

    @cached_property
    def line(self) -> str:
        """The check as one line of JSON; written once, although a year of days may share it."""
        return json.dumps(self.document(), ensure_ascii=False, allow_nan=False)


def stamp_bytes(manifest: Manifest, contract_digest: str, checks: Iterable[CheckResult]) -> bytes:
    """The stamp of a partition whose `checks` all passed, as JSON with one check a line."""
    head = {
        "schema_version": SCHEMA_VERSION,
        "dataset": manifest.dataset,
        "key": manifest.key,
        "content_digest": manifest.content_digest,
        "contract_digest": contract_digest,
        "stamped_at": clock.timestamp(),
    }
    fields = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in head.items()
    )
    lines = ",\n".join(f"    {check.line}" for check in checks)
    return f'{{\n{fields},\n  "checks": [\n{lines}\n  ]\n}}\n'.encode()


def stamp_finding(data_dir: Path, manifest: Manifest, contract_digest: str) -> Finding | None:
    """Why the partition of `manifest` has no valid stamp; None where it has."""
    path = stamp_path(data_dir, manifest.dataset, manifest.key)
    where = f"{manifest.dataset}/{manifest.key}"
    try:
        stamp = known_object(path)
    except OSError as error:
        return _finding(f"its stamp cannot be read: {error}", where)
    if stamp is None:
        return _finding(
            "its stamp cannot be read: no JSON object" if path.exists() else "the partition was never validated", where
        )
    if stamp.get("schema_version") != SCHEMA_VERSION:
        return _finding("its stamp has another version", where)
    if (stamp.get("dataset"), stamp.get("key")) != (manifest.dataset, manifest.key):
        return _finding(f"its stamp is that of {stamp.get('dataset')}/{stamp.get('key')}", where)
    if stamp.get("content_digest") != manifest.content_digest:
        return _finding("it changed since it was validated", where)
    if stamp.get("contract_digest") != contract_digest:
        return _finding("it was validated by another version of the contract", where)
    checks = stamp.get("checks")
    if not isinstance(checks, list) or not all(
        isinstance(check, dict) and check.get("passed") is True for check in checks
    ):
        return _finding("its stamp records a failed check", where)
    return None


def require_stamps(data_dir: Path, dataset: str, keys: Iterable[str], contract_digest: str) -> None:
    """Refuse (Unstamped, naming each) partitions without a stamp for their content and this contract."""
    found: list[Finding] = []
    for key in keys:
        try:
            finding = stamp_finding(data_dir, read_manifest(data_dir, dataset, key), contract_digest)
        except MtacError as error:
            found += error.findings
            continue
        if finding is not None:
            found.append(finding)
    if found:
        raise Unstamped(*found)


def _finding(error: str, where: str) -> Finding:
    return Finding(error, where, "a validation stamp for its content and the contract in force", "ingest the day again")
