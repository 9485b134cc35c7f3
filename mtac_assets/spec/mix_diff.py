"""What differs between two mixes of texts, source by source, in the words of the recipe. Pure: documents in, differences out.

The field-by-field differences of a recipe are `diff`'s; a mix has so many fields for one decision that they are told together here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

WHOLE = "all sources"


@dataclass(frozen=True)
class MixChange:
    """One source (or WHOLE): `kind` is added, removed or changed; `fields`: name, and its words before and after (None: not there)."""

    source: str
    kind: str
    fields: tuple[tuple[str, str | None, str | None], ...]

    def document(self) -> dict[str, Any]:
        return asdict(self)


def mix_changes(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> tuple[MixChange, ...]:
    """From the recipe's `mix` before and after (None where it has none): the whole first, then sources by name."""
    before, after = (dict[str, dict[str, str]]() if mix is None else _described(mix) for mix in (old, new))
    return tuple(_changes(before, after))


def _changes(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> Iterator[MixChange]:
    for name in sorted(before.keys() | after.keys(), key=lambda name: (name != WHOLE, name)):
        a, b = before.get(name, {}), after.get(name, {})
        fields = tuple(
            (field, a.get(field), b.get(field)) for field in dict.fromkeys((*a, *b)) if a.get(field) != b.get(field)
        )
        if fields:
            yield MixChange(name, "changed" if a and b else "added" if b else "removed", fields)


def _described(mix: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Each source's fields in words, those that say nothing left out."""
    whole = {"tokens": f"{mix['tokens']:,}", "sequence length": f"{mix['sequence_length']:,}"}
    if mix["max_synthetic_share"] is not None:
        whole["largest synthetic share"] = mix["max_synthetic_share"]
    found = {WHOLE: whole}
    for name, source in mix["sources"].items():
        words = {"dataset": source["dataset"], "kind": source["kind"], "share": _share(mix, source["ratio"])}
        for stage in mix["stages"]:
            ratios: Mapping[str, str] = stage["ratios"] or {}
            words[f"share from step {stage['from_step']:,}"] = _share(stage, ratios.get(name))
        words["epochs at most"] = str(source["max_epochs"])
        if source["max_share"] is not None:
            words["largest share"] = source["max_share"]
        if source["filters"]:
            words["filters"] = ", ".join(
                f"{one['score']} {one['op']} {one['threshold']:g}" for one in source["filters"]
            )
        found[name] = words
    return found


def _share(stage: Mapping[str, Any], ratio: str | None) -> str:
    return ratio if ratio is not None else f"by size, temperature {stage['temperature']}"
