"""What a mix must keep before a model of it goes anywhere: each rule with its evidence, from the manifest alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtac_assets.spec.errors import CheckFailed, Finding, raise_all
from mtac_assets.spec.language import LanguageGates


@dataclass(frozen=True)
class MixVerdict:
    """One rule: `evidence` holds the number that was compared, and with what."""

    name: str
    passed: bool
    evidence: dict[str, Any]
    finding: Finding


RULES = {
    "near_duplicates": "Few enough held-out documents have a near-duplicate to train on.",
    "shares": "Every source has the share of the tokens that was asked for.",
}


def judge(manifest: Mapping[str, Any], gates: LanguageGates) -> tuple[MixVerdict, ...]:
    """A verdict for each of `RULES`, from a training set's manifest or a report that repeats its `recipe`, `near_duplicates` and `mix`."""
    near = manifest["near_duplicates"]
    shares = manifest["mix"]["shares"]
    farthest = max(shares, key=lambda name: shares[name]["deviation"])
    deviation = shares[farthest]["deviation"]
    where = f"{manifest['recipe']}/training_set"
    found = {"share": near["share"], "found": near["found"], "held_out": near["held_out"], "first": near["first"]}
    return (
        MixVerdict(
            "near_duplicates",
            near["share"] <= gates.near_duplicates,
            {**found, "at_most": gates.near_duplicates},
            Finding(
                f"{near['found']} of {near['held_out']} held-out documents ({near['share']:.2%}) have a near-duplicate to train on"
                + "".join(f"; {pair['held_out']} is like {pair['like']}" for pair in near["first"][:3]),
                where,
                f"at most {gates.near_duplicates:.2%} (gates.near_duplicates)",
                "filter the source by near_duplicates <= 0, or raise the gate with a reason",
            ),
        ),
        MixVerdict(
            "shares",
            deviation <= gates.share_deviation,
            {"source": farthest, **shares[farthest], "at_most": gates.share_deviation},
            Finding(
                f"`{farthest}` has the share {shares[farthest]['achieved']} of the sequences, {shares[farthest]['requested']} was asked for",
                where,
                f"a difference of at most {gates.share_deviation:g} (gates.share_deviation)",
                "train for more steps, or ask for rounder ratios",
            ),
        ),
    )


def require(manifest: Mapping[str, Any], gates: LanguageGates) -> None:
    """CheckFailed with each rule that does not hold. A blocking check holds inside one run only; who trains asks here."""
    raise_all(CheckFailed, [verdict.finding for verdict in judge(manifest, gates) if not verdict.passed])
