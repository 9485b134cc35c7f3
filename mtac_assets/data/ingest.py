"""Ingest: from a dataset's source to partitions with manifest and stamp.

One failing day holds up no other; what was there before is replaced only by a whole new partition that passed the contract.
The same content changes nothing, down to the byte. Days are published about a hundred at a time.
Does not belong here: DVC (see `versioning`), and what would have to be ingested (see `ingest_pending`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mtac_assets.data.contract.load import LoadedContract, load_contract
from mtac_assets.data.contract.source import contract_digest
from mtac_assets.data.contract.stamp import CheckResult
from mtac_assets.data.ingest_pending import unchanged, unknown_keys
from mtac_assets.data.partitions import Manifest
from mtac_assets.data.readers.local import Source, SourceError
from mtac_assets.data.readers.sources import read_blocks
from mtac_assets.data.readers.state import source_state
from mtac_assets.data.seen_sources import SeenSources
from mtac_assets.provenance.turns import turn
from mtac_assets.spec.dataset import Dataset
from mtac_assets.spec.errors import Finding, MtacError

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project

Progress = Callable[["DayResult"], None]


class IngestError(MtacError):
    """The dataset could not be ingested at all: its contract or the place to write is at fault."""


@dataclass(frozen=True)
class DayResult:
    """What became of one partition. `findings` say why it failed; what was there before it failed is still there."""

    key: str
    status: Literal["written", "unchanged", "failed"]
    manifest: Manifest | None = None
    findings: tuple[Finding, ...] = ()
    quarantined_rows: int = 0
    checks: tuple[CheckResult, ...] = ()


@dataclass(frozen=True)
class IngestResult:
    """One result for each partition asked for, in that order."""

    dataset: str
    days: tuple[DayResult, ...]

    @property
    def failed(self) -> tuple[DayResult, ...]:
        return tuple(day for day in self.days if day.status == "failed")

    @property
    def written(self) -> tuple[DayResult, ...]:
        return tuple(day for day in self.days if day.status == "written")

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for day in self.days for finding in day.findings)


def ingest(
    project: Project,
    dataset: Dataset | str,
    keys: Sequence[str],
    progress: Progress | None = None,
    *,
    read_again: bool = False,
) -> IngestResult:
    """Bring partitions `keys` of `dataset` up to date with their source; `progress` hears of each as it is done.

    A partition that is intact, stamped by the contract in force and whose source shows the state it was read in is not read
    again, unless `read_again`. Raises ContractError where the contract is at fault and IngestError where nothing can be
    written; everything else fails its own day, in the result.
    """
    if isinstance(dataset, str):
        from mtac_assets.spec.load import load_dataset

        dataset = load_dataset(project, dataset)
    folder = project.datasets()[dataset.name].parent
    digest = contract_digest(dataset, folder)
    keys = list(dict.fromkeys(keys))
    results: dict[str, DayResult] = {}

    def done(result: DayResult) -> None:
        results[result.key] = result
        if progress is not None:
            progress(result)

    for key, finding in unknown_keys(dataset, keys).items():
        done(DayResult(key, "failed", findings=(finding,)))
    with _alone(project, dataset.name):
        seen = SeenSources(project.state.cache, dataset.name)
        pending = _pending(
            project, dataset, [key for key in keys if key not in results], digest, seen, read_again, done
        )
        if pending:
            _ingest_pending(project, dataset, load_contract(dataset, folder), pending, seen, done)
        seen.save()
    return IngestResult(dataset.name, tuple(results[key] for key in keys))


def _pending(
    project: Project,
    dataset: Dataset,
    keys: list[str],
    digest: str,
    seen: SeenSources,
    read_again: bool,
    done: Callable[[DayResult], None],
) -> list[str]:
    """The keys that must be read; of the others `done` hears at once."""
    try:
        sources = source_state(dataset, keys, project.root) if keys else {}
    except SourceError as error:
        for key in keys:
            done(DayResult(key, "failed", findings=error.findings))
        return []
    pending = []
    for key in keys:
        manifest = (
            None if read_again else unchanged(project.state.data, dataset.name, key, sources.get(key), digest, seen)
        )
        if manifest is None:
            pending.append(key)
        else:
            done(DayResult(key, "unchanged", manifest, quarantined_rows=manifest.quarantined_rows))
    return pending


def _ingest_pending(
    project: Project,
    dataset: Dataset,
    contract: LoadedContract,
    keys: list[str],
    seen: SeenSources,
    done: Callable[[DayResult], None],
) -> None:
    from mtac_assets.data.contract.judge import judge
    from mtac_assets.data.ingest_write import publish

    missing = set(keys)

    def note(result: DayResult, source: Source | None) -> None:
        missing.discard(result.key)
        if result.manifest is not None and source is not None and result.status != "failed":
            seen.remember(result.key, result.manifest.content_digest, source)
        done(result)

    for block in read_blocks(dataset, keys, contract.columns, project.root):
        for key, findings in block.refused.items():
            note(DayResult(key, "failed", findings=findings), None)
        if block.keys:
            for result in publish(project.state.data, contract, judge(contract, block)):
                note(result, block.sources[result.key])
    assert not missing, f"a reader said nothing of {sorted(missing)}"


@contextmanager
def _alone(project: Project, dataset: str) -> Iterator[None]:
    """One ingest of a dataset at a time; a second one waits, and then finds everything unchanged."""
    path: Path = project.state.locks / f"ingest-{dataset}.lock"
    try:
        (project.state.data / dataset).mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise IngestError(
            Finding(f"cannot be written: {os.strerror(error.errno or 0)}", str(error.filename), "a folder to write to",
                    "correct its permissions, or `state` in the environment's file")
        ) from None  # fmt: skip
    with turn(path):
        yield
