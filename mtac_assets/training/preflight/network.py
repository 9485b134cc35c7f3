"""Checks of the network: whether the settings make one, and whether it fits its tokens."""

from __future__ import annotations

import math

from mtac_assets.training.preflight.facts import Facts
from mtac_assets.training.preflight.registry import Judgement, check


@check("network.settings")
def settings(facts: Facts, judgement: Judgement) -> bool | None:
    """Heads and dimensions: all of the settings' faults, in one finding."""
    if facts.schema is None or facts.recipe.model.kind != "gpt":
        return False
    judgement.evidence |= dict(facts.settings)
    if facts.network_problems:
        error = "; ".join(f"{name} is {value}, expected {expected}" for name, value, expected in facts.network_problems)
        first = facts.network_problems[0]
        judgement.fail(error, f"model.settings.{first[0]}", first[2], "correct them in the recipe")
    return None


@check("network.sequence")
def sequence(facts: Facts, judgement: Judgement) -> bool | None:
    """Rotary positions reach as far as a row; a base far below the length would make far positions alike."""
    if facts.schema is None or facts.parameters is None:
        return False
    length, base = facts.schema.sequence_length, float(facts.settings.get("rope_base", 10_000.0))  # type: ignore[arg-type]
    judgement.evidence |= {
        "sequence_length": length,
        "rope_base": base,
        "longest_wave": round(2 * math.pi * base),
    }
    if length > 2 * math.pi * base:
        needed = math.ceil(length / (2 * math.pi))
        judgement.fail(
            f"rows of {length:,} tokens are longer than the longest wave of the rotary positions, {2 * math.pi * base:,.0f}",
            "model.settings.rope_base",
            f"at least {needed:,}",
            f"write rope_base: {needed} or more, or shorten mix.sequence_length",
        )
    return None


@check("network.vocabulary")
def vocabulary(facts: Facts, judgement: Judgement) -> bool | None:
    """The tokeniser that was trained holds as many tokens as the recipe asks for."""
    if facts.schema is None:
        return False
    asked = getattr(facts.recipe, "tokenizer").vocabulary_size  # noqa: B009  (only a language recipe has one)
    judgement.evidence |= {"vocabulary_size": facts.schema.vocabulary_size, "asked": asked}
    if facts.schema.vocabulary_size != asked:
        judgement.fail(
            f"the training set's tokeniser has {facts.schema.vocabulary_size:,} tokens, the recipe asks for {asked:,}",
            "tokenizer.vocabulary_size",
            "the same tokeniser in both",
            "build the training set again",
        )
    return None


@check("network.parameters")
def parameters(facts: Facts, judgement: Judgement) -> bool | None:
    """The exact count, and how many tokens each learns from."""
    if facts.parameters is None or facts.schema is None:
        return False
    judgement.evidence["parameters"] = facts.parameters
    if facts.steps is not None:
        tokens = facts.steps * facts.training.batch_size * facts.schema.sequence_length
        judgement.evidence["tokens_per_parameter"] = round(tokens / facts.parameters, 2)
    return None
