"""Which documents of a source are in the mix, and in which part: filters in the recipe's order, then the split.

Every document is accounted for: kept, or left out by a filter that is named.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtac_assets.data.mix.documents import LEFT_OUT, parts
from mtac_assets.data.mix.errors import MixError
from mtac_assets.data.mix.folder import PARTS
from mtac_assets.data.mix.score_table import ScoreTable
from mtac_assets.spec.errors import Finding
from mtac_assets.spec.language import DocumentSplit, Filter, MixSource

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Selection:
    """`part` int8 [documents]: TRAIN, VALIDATE, TEST or LEFT_OUT. `survivors`: what each filter kept, in order."""

    source: str
    part: np.ndarray
    survivors: tuple[dict[str, Any], ...]
    table: ScoreTable

    def document(self) -> dict[str, Any]:
        """For the manifest."""
        counts = {name: int((self.part == number).sum()) for number, name in enumerate(PARTS)}
        return {"documents_read": len(self.part), "filters": list(self.survivors), "documents": counts}


def select(name: str, source: MixSource, split: DocumentSplit, table: ScoreTable) -> Selection:
    """The selection of one source. Raises MixError where a filter keeps nothing, or a part is left without documents."""
    kept = np.ones(table.rows, dtype=bool)
    survivors: list[dict[str, Any]] = []
    for position, entry in enumerate(source.filters):
        values = table.column(entry.score)
        passed = kept & _COMPARE[entry.op](values, entry.threshold)
        if not passed.any():
            raise MixError(_keeps_nothing(name, position, entry, values[kept]))
        survivors.append({"filter": f"{entry.score} {entry.op} {entry.threshold:g}", "kept": int(passed.sum()),
                          "left_out": int(kept.sum() - passed.sum())})  # fmt: skip
        kept = passed
    part = parts(table.digests(), split)
    part[~kept] = LEFT_OUT
    missing = [label for number, label in enumerate(PARTS) if not (part == number).any()]
    if missing:
        shares = f"validate_share {split.validate_share:g}, test_share {split.test_share:g}"
        finding = Finding(
            f"`{name}` has no document to {' or '.join(missing)} on ({int(kept.sum())} documents, {shares})",
            f"mix.sources.{name}",
            "documents of every source in every part",
            "raise the share, cut the source into more documents, or take another split.seed",
        )
        raise MixError(finding)
    return Selection(name, part, tuple(survivors), table)


def _keeps_nothing(name: str, position: int, entry: Filter, values: np.ndarray) -> Finding:
    low, middle, high = (float(np.quantile(values, share)) for share in (0, 0.5, 1))
    where = f"mix.sources.{name}.filters[{position}]"
    expected = f"a threshold between {low:g} and {high:g} (the median of {len(values):,} documents is {middle:g})"
    error = f"{entry.score} {entry.op} {entry.threshold:g} keeps no document of `{name}`"
    return Finding(error, where, expected, f"write threshold: {middle:g}, or remove the filter")
