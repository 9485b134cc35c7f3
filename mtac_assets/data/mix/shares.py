"""Shares of the mix as integer weights, and whether the sources hold what the recipe asks for.

Belongs here: arithmetic of a mix once it is known how many rows each source has. Everything is exact: ratios are fractions, and
what a temperature gives is rounded once, to parts of 4,096, in decimal arithmetic that is the same on every machine.
"""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mtac_assets.data.mix.errors import MixError
from mtac_assets.data.mix.interleave import Interleave, weights_of
from mtac_assets.spec.errors import Finding, raise_all
from mtac_assets.spec.language import Mix, steps_for
from mtac_assets.spec.ratios import exact

FINENESS = 4096
_DECIMALS = decimal.Context(prec=50)


@dataclass(frozen=True)
class PlannedStage:
    """Shares from a step on, by source: exact, and as the smallest integer weights."""

    from_step: int
    shares: Mapping[str, Fraction]
    weights: Mapping[str, int]


@dataclass(frozen=True)
class MixPlan:
    """All that decides which source's turn it is. Sources are in the order of their names."""

    sources: tuple[str, ...]
    stages: tuple[PlannedStage, ...]
    steps: int
    batch_size: int
    sequence_length: int
    requested_tokens: int

    @property
    def places(self) -> int:
        return self.steps * self.batch_size

    @property
    def tokens(self) -> int:
        return self.places * self.sequence_length

    def interleave(self) -> Interleave:
        by_place = {
            stage.from_step * self.batch_size: [stage.weights[name] for name in self.sources] for stage in self.stages
        }
        return Interleave.of(by_place)

    def requested(self) -> dict[str, Fraction]:
        """The share of each source over all steps."""
        ends = [*(stage.from_step for stage in self.stages[1:]), self.steps]
        lengths = [Fraction(end - stage.from_step, self.steps) for stage, end in zip(self.stages, ends, strict=True)]
        return {
            name: sum(
                (length * stage.shares[name] for stage, length in zip(self.stages, lengths, strict=True)), Fraction(0)
            )
            for name in self.sources
        }

    def document(self) -> dict[str, Any]:
        """For the manifest: weights of each stage, requested and achieved shares, the turns of each source."""
        turns = self.interleave().counts(self.places)
        requested = self.requested()
        return {
            "tokens": {"requested": self.requested_tokens, "planned": self.tokens},
            "stages": [
                {
                    "from_step": stage.from_step,
                    "weights": dict(stage.weights),
                    "ratios": {name: str(share) for name, share in stage.shares.items()},
                }
                for stage in self.stages
            ],
            "shares": {
                name: {
                    "requested": str(requested[name]),
                    "achieved": str(Fraction(count, self.places)),
                    "deviation": abs(float(Fraction(count, self.places) - requested[name])),
                    "rows": count,
                }
                for name, count in zip(self.sources, turns, strict=True)
            },
        }


def plan_mix(mix: Mix, batch_size: int, rows: Mapping[str, int]) -> MixPlan:
    """The mix over sources with so many training rows. Raises MixError where a temperature breaks a bound."""
    names = tuple(sorted(mix.sources))
    ratios = {name: exact(source.ratio) for name, source in mix.sources.items() if source.ratio is not None}
    shares = {0: ratios if mix.temperature is None else by_temperature(rows, exact(mix.temperature))}
    for stage in mix.stages:
        if stage.ratios is not None:
            shares[stage.from_step] = {name: exact(ratio) for name, ratio in stage.ratios.items()}
        elif stage.temperature is not None:
            shares[stage.from_step] = by_temperature(rows, exact(stage.temperature))
    stages: list[PlannedStage] = []
    for step, share in shares.items():
        ordered = {name: share[name] for name in names}
        weights = dict(zip(names, weights_of(list(ordered.values())), strict=True))
        stages.append(PlannedStage(step, ordered, weights))
    raise_all(MixError, [finding for stage in stages for finding in _bounds(mix, stage)])
    steps = steps_for(mix, batch_size)
    return MixPlan(names, tuple(stages), steps, batch_size, mix.sequence_length, mix.tokens)


def by_temperature(rows: Mapping[str, int], temperature: Fraction) -> dict[str, Fraction]:
    """Shares proportional to rows ** (1 / temperature), in parts of 4,096 that add up to 1, each source at least one part."""
    power = _DECIMALS.divide(decimal.Decimal(temperature.denominator), decimal.Decimal(temperature.numerator))
    sizes = {name: _DECIMALS.power(decimal.Decimal(rows[name]), power) for name in sorted(rows)}
    total = sum(sizes.values(), decimal.Decimal(0))
    due = {name: _DECIMALS.divide(size * FINENESS, total) for name, size in sizes.items()}
    whole = {name: max(1, int(value)) for name, value in due.items()}
    order = sorted(due, key=lambda name: (whole[name] - due[name], name))
    place = 0
    while sum(whole.values()) < FINENESS:  # the largest remainders first
        whole[order[place % len(order)]] += 1
        place += 1
    while sum(whole.values()) > FINENESS:  # many sources too small for one part
        whole[max(whole, key=lambda name: (whole[name], name))] -= 1
    return {name: Fraction(parts, FINENESS) for name, parts in whole.items()}


def _bounds(mix: Mix, stage: PlannedStage) -> list[Finding]:
    """Bounds that a temperature's shares break; of written ratios the recipe's own check has said so."""
    findings: list[Finding] = []
    for name, source in mix.sources.items():
        share = stage.shares[name]
        if source.max_share is not None and share > exact(source.max_share):
            error = f"from step {stage.from_step} `{name}` has the share {float(share):.4f}"
            expected = f"at most its max_share {source.max_share}"
            remedy = "raise the temperature, raise max_share, or write ratios"
            findings.append(Finding(error, f"mix.sources.{name}.max_share", expected, remedy))
    made = sum((stage.shares[name] for name, source in mix.sources.items() if source.kind == "synthetic"), Fraction(0))
    if mix.max_synthetic_share is not None and made > exact(mix.max_synthetic_share):
        error = f"from step {stage.from_step} synthetic sources have the share {float(made):.4f}"
        expected = f"at most {mix.max_synthetic_share}"
        findings.append(Finding(error, "mix.max_synthetic_share", expected, "raise the bound, or write ratios"))
    return findings


def require_enough(mix: Mix, plan: MixPlan, rows: Mapping[str, int]) -> None:
    """MixError, before anything is trained, where a source runs out: who, by how much, and both ways out in numbers."""
    interleave = plan.interleave()
    needed = dict(zip(plan.sources, interleave.counts(plan.places), strict=True))
    held = {name: source.max_epochs * rows[name] for name, source in mix.sources.items()}
    short = [name for name in plan.sources if needed[name] > held[name]]
    if not short:
        return
    feasible = _feasible_steps(plan, interleave, [held[name] for name in plan.sources])
    most = feasible * plan.batch_size * plan.sequence_length
    findings: list[Finding] = []
    for name in short:
        epochs = mix.sources[name].max_epochs
        wanted = -(-needed[name] // rows[name]) if rows[name] else None
        error = (
            f"`{name}` runs out: {needed[name] * plan.sequence_length:,} tokens are asked of it, and in "
            f"{epochs} {'epoch' if epochs == 1 else 'epochs'} it has {held[name] * plan.sequence_length:,}"
        )
        less = f"write mix.tokens: {most}" if most else "give it a smaller ratio"
        more = f"mix.sources.{name}.max_epochs: {wanted}" if wanted else "more documents"
        expected = f"at most {most:,} tokens in all, as many as the sources last for"
        findings.append(Finding(error, f"mix.sources.{name}", expected, f"{less}, or {more}"))
    raise MixError(*findings)


def _feasible_steps(plan: MixPlan, interleave: Interleave, held: list[int]) -> int:
    """The most steps for which no source runs out."""
    low, high = 0, plan.steps
    while low < high:
        middle = (low + high + 1) // 2
        counts = interleave.counts(middle * plan.batch_size)
        if all(count <= most for count, most in zip(counts, held, strict=True)):
            low = middle
        else:
            high = middle - 1
    return low
