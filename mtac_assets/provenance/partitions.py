"""Which partitions a model needs, and the content digests of those that are there.

Whether their files are intact is `partitions_intact`'s matter, reading rows `data`'s. Must answer for 20,000 partitions in a
blink, and imports no dataframe library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtac_assets.provenance.digest import digest_json
from mtac_assets.provenance.files import FileState
from mtac_assets.provenance.memory import Memory
from mtac_assets.provenance.partitions_intact import intact, read_manifest

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project
    from mtac_assets.spec.resolved import ResolvedRecipe

ALL = "all"  # the key of a dataset without time


@dataclass(frozen=True)
class Needed:
    """Dataset to partition keys. `training` decides the weights; `test` is only judged on; `everything` is both."""

    training: Mapping[str, tuple[str, ...]]
    test: Mapping[str, tuple[str, ...]]

    @property
    def everything(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(dict.fromkeys((*keys, *self.test.get(name, ())))) for name, keys in self.training.items()}


@dataclass(frozen=True)
class Known:
    """What a model needs, and the content digests (`<dataset>/<key>`) of what of it is there."""

    needed: Needed
    digests: Mapping[str, str]


def needed(project: Project, resolved: ResolvedRecipe) -> Needed:
    """Partitions of the rows dataset and the lookups: history, training and validation days; test days apart.

    Days outside a lookup's own range are left out (its source has none); those of the rows dataset stay, so that a missing
    one is noticed. A dataset without time has the one key `all`.
    """
    windows = resolved.windows()
    spans = spans_of(project, resolved)
    training = (*windows.history, *windows.train, *windows.validate)
    return Needed(
        training={name: span.within(training) for name, span in spans.items()},
        test={name: span.within(windows.test) for name, span in spans.items()},
    )


@dataclass(frozen=True, slots=True)
class Span:
    """The days that a dataset reaches over, both inclusive. `daily` False: it has the one key `all`."""

    daily: bool
    first: str | None = None
    last: str | None = None

    def within(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Those of `keys` that the dataset can have, each once."""
        if not self.daily:
            return (ALL,)
        first, last = self.first or "", self.last
        return tuple(dict.fromkeys(key for key in keys if first <= key and (last is None or key <= last)))


def spans_of(project: Project, resolved: ResolvedRecipe) -> dict[str, Span]:
    """The span of each dataset that the recipe reads; the rows dataset's own has no bounds, so that gaps are noticed."""
    names = _dataset_names(resolved)
    spans = {name: _span(project, name) for name in names}
    return spans | {names[0]: Span(spans[names[0]].daily)}


def _dataset_names(resolved: ResolvedRecipe) -> list[str]:
    """The rows dataset, then the lookups, each once; of a recipe of texts those of its sources."""
    fields = resolved.fields  # the typed recipe would have to be built first
    if resolved.is_language:
        return sorted({source["dataset"] for source in fields["mix"]["sources"].values()})
    return list(dict.fromkeys((fields["data"]["rows"], *fields["data"]["lookups"])))


def content_digests(data_dir: Path, wanted: Mapping[str, Iterable[str]], cache: Path | None = None) -> dict[str, str]:
    """`<dataset>/<key>` to content digest, for those of `wanted` that are there.

    With a `cache` folder the partition's file must be there and intact, or PartitionDamagedError names it; without one the
    manifest's word is taken (a model's commit holds manifests alone; who reads the rows verifies them).
    """
    found: dict[str, str] = {}
    for dataset, keys in wanted.items():
        if cache is None:
            for key in keys:
                manifest = read_manifest(data_dir, dataset, key)
                if manifest is not None:
                    found[f"{dataset}/{key}"] = manifest["content_digest"]
        else:
            known = intact(data_dir, dataset, keys, cache)
            found.update((name, digest) for name, (digest, _) in known.items())
    return found


def digests_and_contracts(
    data_dir: Path, dataset: str, keys: Iterable[str], cache: Path
) -> dict[str, tuple[str, str | None]]:
    """`<dataset>/<key>` to content digest and to the contract that this content was stamped under, None without a stamp.

    As `content_digests` with a cache, in the same one pass over the files.
    """
    return intact(data_dir, dataset, keys, cache)


def first_days(project: Project, resolved: ResolvedRecipe) -> list[str | None]:
    """The first day of each dataset that the recipe reads; None for one without time."""
    return [_span(project, name).first for name in _dataset_names(resolved)]


def column_roles(project: Project, resolved: ResolvedRecipe) -> dict[str, str]:
    """Dataset to the digest of what its `dataset.yaml` says of columns: key, event time, outcomes. Features depend on it."""
    return {name: _read_dataset(project, name)[3] for name in _dataset_names(resolved)}


def _span(project: Project, dataset: str) -> Span:
    daily, first, last, _ = _read_dataset(project, dataset)
    return Span(daily, first, last)


def _read_dataset(project: Project, dataset: str) -> tuple[bool, str | None, str | None, str]:
    """Whether it is daily, its first and last day, and the digest of its columns' roles; remembered by the file's state."""
    file = project.datasets().get(dataset)
    memory = Memory(project.state.cache / "dataset-files.json")
    state = FileState.of(file) if file is not None else None
    kept: list[Any] | None = memory.get(str(file), state) if state is not None else None
    if kept is None:
        from mtac_assets.spec.dataset import DailyPartitions
        from mtac_assets.spec.load import load_dataset

        found = load_dataset(project, dataset)
        cut = found.partitions
        roles = digest_json(found.model_dump(mode="json", include={"key", "event_time", "outcome_columns"}))
        daily = isinstance(cut, DailyPartitions)
        kept = [daily, cut.start.isoformat() if daily else None, cut.end.isoformat() if daily and cut.end else None]
        kept.append(roles)
        if state is not None:
            memory.put(str(file), state, value=kept)
            memory.save()
    return kept[0], kept[1], kept[2], kept[3]
