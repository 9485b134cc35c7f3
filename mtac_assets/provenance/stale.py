"""Models whose data was corrected since: which of their partitions hold other content now.

Belongs here: comparing what a model was trained on with what is there. Whether and when it is trained anew is a trigger's
matter; what else makes a model stale (code, recipe, environment) is the plan's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from mtac_assets.provenance import partitions
from mtac_assets.provenance.plan import known_models

if TYPE_CHECKING:
    from mtac_assets.spec.project import Project


@dataclass(frozen=True, slots=True)
class Stale:
    """A model and the partitions (`<dataset>/<key>`) of its training window that were corrected after it learnt from them."""

    model_id: str
    as_of: str
    corrected: tuple[str, ...]


def stale_models(project: Project, recipe: str) -> list[Stale]:
    """The recipe's models that lie in the state and were trained on content that is no longer the current one."""
    known = known_models(project, recipe)
    now = current(project, chain.from_iterable(model.data for model in known))
    found: list[Stale] = []
    for model in known:
        corrected = tuple(name for name, digest in model.data.items() if now.get(name, digest) != digest)
        if corrected:
            found.append(Stale(model.model_id, model.as_of, corrected))
    return found


def current(project: Project, names: Iterable[str]) -> Mapping[str, str]:
    """`<dataset>/<key>` to content digest now, for those of `names` that are there."""
    wanted: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        dataset, _, key = name.partition("/")
        wanted.setdefault(dataset, []).append(key)
    return partitions.content_digests(project.state.data, wanted, project.state.cache)
