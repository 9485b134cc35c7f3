"""Checks of batches, workers, tokens and the way of the learning rate over the steps."""

from __future__ import annotations

import math

from mtac_assets.training.preflight.facts import Facts
from mtac_assets.training.preflight.registry import Judgement, check


@check("batch.micro_batches")
def micro_batches(facts: Facts, judgement: Judgement) -> None:
    """A step's micro-batches form a binary tree, so there are 1, 2, 4, 8, … of them."""
    batch, micro = facts.training.batch_size, facts.training.micro_batch_size
    judgement.evidence |= {"batch_size": batch, "micro_batch_size": micro, "micro_batches": batch / micro}
    if batch % micro or facts.micro_batches & (facts.micro_batches - 1):
        fitting = [batch >> level for level in range(batch.bit_length()) if batch % (1 << level) == 0]
        near = min(fitting, key=lambda size: abs(size - micro))
        judgement.fail(
            f"batch_size {batch} holds {batch / micro:g} micro-batches of {micro}",
            "training.micro_batch_size",
            f"one of: {', '.join(map(str, fitting))}",
            f"write {near}",
        )


@check("batch.workers")
def workers(facts: Facts, judgement: Judgement) -> None:
    """Workers share out the tree: a power of two, at most as many as micro-batches."""
    judgement.evidence |= {"workers": facts.workers, "micro_batches": facts.micro_batches}
    if facts.workers & (facts.workers - 1):
        below = 1 << (facts.workers.bit_length() - 1)
        judgement.fail(
            f"{facts.workers} workers cannot share a binary tree of sums",
            "--workers",
            "a power of two",
            f"start {below} or {2 * below}",
        )
    elif facts.workers > facts.micro_batches:
        micro = facts.training.batch_size // facts.workers
        judgement.fail(
            f"{facts.workers} workers, and {facts.micro_batches} micro-batches a step",
            "--workers",
            f"at most {facts.micro_batches}",
            f"start {facts.micro_batches}, or write micro_batch_size: {max(1, micro)} (which makes another model)",
        )
    else:
        judgement.evidence["accumulation"] = facts.micro_batches // facts.workers


@check("data.tokens")
def tokens(facts: Facts, judgement: Judgement) -> bool | None:
    """Tokens asked for, in whole steps; whether every source has them is known once the training set is built."""
    mix = getattr(facts.recipe, "mix", None)
    if mix is None or facts.steps is None:
        return False
    a_step = facts.training.batch_size * mix.sequence_length
    judgement.evidence |= {
        "asked": mix.tokens,
        "tokens_per_step": a_step,
        "steps": facts.steps,
        "trained_on": facts.steps * a_step,
    }
    if facts.manifest is None:
        judgement.evidence["available"] = "known once the training set is built"
        return None
    available = {source["name"]: source["tokens"] for source in facts.manifest["sources"]}
    judgement.evidence["available"] = available
    # Each source's own limit is the mix's to judge (it refuses to build); here: is there enough for all passes together?
    most = sum(count * mix.sources[name].max_epochs for name, count in available.items() if name in mix.sources)
    if facts.steps * a_step > most:
        judgement.fail(
            f"{facts.steps * a_step:,} tokens are asked for, and {most:,} are there in all allowed passes",
            "mix.tokens",
            f"at most {most:,}",
            "lower mix.tokens, or raise max_epochs",
        )
    return None


@check("schedule.steps")
def schedule(facts: Facts, judgement: Judgement) -> bool | None:
    """Warm-up and decay of at least one whole step each, and something between them."""
    if facts.steps is None:
        return False
    way = facts.training.schedule
    warmup = math.ceil(way.warmup_share * facts.steps)
    decay = round((way.decay_share or 0.0) * facts.steps)
    judgement.evidence |= {"steps": facts.steps, "warmup_steps": warmup, "decay_steps": decay, "kind": way.kind}
    if way.kind == "wsd" and decay < 1:
        judgement.fail(
            f"a decay over {way.decay_share:g} of {facts.steps} steps is less than one step",
            "training.schedule.decay_share",
            f"at least {1 / facts.steps:.3g}",
            "raise decay_share, or train on more tokens",
        )
    elif warmup >= facts.steps:
        judgement.fail(
            f"the rate rises over {warmup} of {facts.steps} steps: it never trains at its peak",
            "training.schedule.warmup_share",
            "fewer warm-up steps than steps",
            "lower warmup_share, or train on more tokens",
        )
    return None


@check("checkpoint.interval")
def interval(facts: Facts, judgement: Judgement) -> bool | None:
    """A checkpoint interval beyond the training's end leaves one segment: nothing to resume from, nothing to replay side by side."""
    if facts.steps is None:
        return False
    every = facts.training.checkpoint_every_steps
    judgement.evidence |= {"checkpoint_every_steps": every, "steps": facts.steps, "segments": -(-facts.steps // every)}
    if every > facts.steps:
        judgement.fail(
            f"a checkpoint every {every:,} steps, and the training has {facts.steps:,}",
            "training.checkpoint_every_steps",
            f"at most {facts.steps:,}",
            f"write {max(1, facts.steps // 8)}",
        )
    return None
