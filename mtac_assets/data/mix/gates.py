"""What a mix must keep before a model of it goes anywhere: each rule with its evidence, from the manifest alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtac_assets.spec.language import LanguageGates


@dataclass(frozen=True)
class MixVerdict:
    """One rule: `evidence` holds the number that was compared, and with what."""

    name: str
    passed: bool
    evidence: dict[str, Any]


RULES = {
    "near_duplicates": "Few enough held-out documents have a near-duplicate to train on.",
    "shares": "Every source has the share of the tokens that was asked for.",
}


def judge(manifest: Mapping[str, Any], gates: LanguageGates) -> tuple[MixVerdict, ...]:
    """A verdict for each of `RULES`."""
    near = manifest["near_duplicates"]
    shares = manifest["mix"]["shares"]
    farthest = max(shares, key=lambda name: shares[name]["deviation"])
    deviation = shares[farthest]["deviation"]
    found = {"share": near["share"], "found": near["found"], "held_out": near["held_out"], "first": near["first"]}
    return (
        MixVerdict(
            "near_duplicates", near["share"] <= gates.near_duplicates, {**found, "at_most": gates.near_duplicates}
        ),
        MixVerdict(
            "shares",
            deviation <= gates.share_deviation,
            {"source": farthest, **shares[farthest], "at_most": gates.share_deviation},
        ),
    )
