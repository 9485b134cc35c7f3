"""Rules between fields of a language model's recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import lcm

from mtac_assets.spec.checks import Check, Problem, repeated, rule, unknown
from mtac_assets.spec.language import (
    LANGUAGE_MODELS,
    TASKS,
    DocumentSplit,
    LanguageEvaluation,
    LanguageGates,
    LanguageModel,
    LanguageTraining,
    LanguageTriggers,
    Mix,
    Tokenizer,
    steps_for,
)
from mtac_assets.spec.ratios import exact
from mtac_assets.spec.recipe_checks import SHARED
from mtac_assets.spec.spelling import closest
from mtac_assets.spec.yaml import FieldPath

CHECKS: list[Check] = list(SHARED)

MAX_PERIOD = 65_536  # the interleave lays out one period of so many places at most (data.mix.interleave)


@rule(CHECKS, "mix")
def _shares(mix: Mix) -> Iterator[Problem]:
    """Either every source has a ratio and they add up to 1, or none has and a temperature decides; in each stage too."""
    base: FieldPath = ("mix", "sources")
    given = {name: source.ratio for name, source in mix.sources.items() if source.ratio is not None}
    if mix.temperature is not None:
        for name in given:
            error = f"`{name}` has a ratio, but `mix.temperature` decides the shares"
            yield Problem((*base, name, "ratio"), error, "either ratios or a temperature", "remove one of them")
        yield from _positive(("mix", "temperature"), mix.temperature)
    else:
        for name in mix.sources:
            if name not in given:
                error = f"`{name}` has no ratio, and there is no `mix.temperature`"
                remedy = "add `ratio:`, or write `mix.temperature` and no ratios"
                yield Problem((*base, name, "ratio"), error, "a ratio of every source", remedy)
        if len(given) == len(mix.sources):
            yield from _whole(base, given)
    for position, stage in enumerate(mix.stages):
        path: FieldPath = ("mix", "stages", position)
        if (stage.ratios is None) == (stage.temperature is None):
            error = "a stage with both ratios and a temperature" if stage.ratios else "a stage that says no shares"
            yield Problem(path, error, "either `ratios` or `temperature`", "keep or write one of them")
        elif stage.temperature is not None:
            yield from _positive((*path, "temperature"), stage.temperature)
        elif stage.ratios is not None:
            yield from _stage_ratios((*path, "ratios"), stage.ratios, mix)


def _stage_ratios(path: FieldPath, ratios: Mapping[str, str], mix: Mix) -> Iterator[Problem]:
    known = list(mix.sources)
    for name in ratios:
        if name not in mix.sources:
            yield unknown((*path, name), name, known, "mix.sources")
    missing = [name for name in known if name not in ratios]
    for name in missing:
        yield Problem(path, f"the stage says no share of `{name}`", "a ratio of every source", f"add `{name}: 0`")
    if not missing and len(ratios) == len(known):
        yield from _whole(path, ratios)


def _whole(path: FieldPath, ratios: Mapping[str, str]) -> Iterator[Problem]:
    shares = {name: exact(ratio) for name, ratio in ratios.items()}
    total = sum(shares.values(), Fraction(0))
    if total != 1:
        largest = max(shares, key=lambda name: shares[name])
        rest = 1 - (total - shares[largest])
        listed = " + ".join(ratios.values())
        remedy = f"write {rest} for `{largest}`" if rest > 0 else "lower the ratios"
        yield Problem(path, f"the ratios add up to {total} ({listed})", "exactly 1", remedy)
        return
    period = lcm(*(share.denominator for share in shares.values()))
    if period > MAX_PERIOD:
        error = f"the ratios have the common denominator {period:,}: the order repeats only after so many sequences"
        yield Problem(path, error, f"a common denominator of at most {MAX_PERIOD:,}", "write rounder fractions")


def _positive(path: FieldPath, temperature: str) -> Iterator[Problem]:
    if exact(temperature) == 0:
        yield Problem(path, "a temperature of 0 has no shares", "above 0", "1 is by size, larger is more even")


@rule(CHECKS, "mix")
def _stage_steps(mix: Mix) -> Iterator[Problem]:
    before = 0
    for position, stage in enumerate(mix.stages):
        if stage.from_step <= before:
            error = f"the stage begins at step {stage.from_step}, the one before it at step {before}"
            path = ("mix", "stages", position, "from_step")
            yield Problem(path, error, f"above {before}", "put the stages in order, each with a first step of its own")
        before = max(before, stage.from_step)


@rule(CHECKS, "mix", "training")
def _stages_are_reached(mix: Mix, training: LanguageTraining) -> Iterator[Problem]:
    steps = steps_for(mix, training.batch_size)
    for position, stage in enumerate(mix.stages):
        if stage.from_step >= steps:
            error = f"the stage begins at step {stage.from_step}, and {mix.tokens:,} tokens are {steps} steps"
            path: FieldPath = ("mix", "stages", position, "from_step")
            yield Problem(path, error, f"below {steps}", "begin it earlier, raise mix.tokens, or remove it")


@rule(CHECKS, "mix")
def _unused(mix: Mix) -> Iterator[Problem]:
    if mix.temperature is not None or any(stage.temperature is not None for stage in mix.stages):
        return  # a temperature gives every source a share
    for name, source in mix.sources.items():
        if source.ratio == "0" and all(stage.ratios and stage.ratios.get(name) == "0" for stage in mix.stages):
            path: FieldPath = ("mix", "sources", name, "ratio")
            yield Problem(path, f"`{name}` has a share of 0 throughout", "a share in some stage", "remove the source")


@rule(CHECKS, "mix")
def _bounds(mix: Mix) -> Iterator[Problem]:
    """A share above its bound is a contradiction in the recipe; nothing is scaled down."""
    stages: list[tuple[FieldPath | None, dict[str, str | None]]] = [
        (None, {name: source.ratio for name, source in mix.sources.items()})
    ]
    for position, stage in enumerate(mix.stages):
        if stage.ratios is not None:
            stages.append((("mix", "stages", position, "ratios"), dict(stage.ratios)))
    for path, ratios in stages:
        for name, source in mix.sources.items():
            ratio = ratios.get(name)
            if source.max_share is not None and ratio is not None and exact(ratio) > exact(source.max_share):
                at = (*path, name) if path else ("mix", "sources", name, "ratio")
                error = f"`{name}` has the share {ratio}, above its max_share {source.max_share}"
                yield Problem(at, error, f"at most {source.max_share}", "lower the ratio or raise max_share")
        made = [ratios.get(name) for name, source in mix.sources.items() if source.kind == "synthetic"]
        total = sum((exact(ratio) for ratio in made if ratio is not None), Fraction(0))
        if mix.max_synthetic_share is not None and total > exact(mix.max_synthetic_share):
            error = f"synthetic sources have the share {total}, above max_synthetic_share {mix.max_synthetic_share}"
            at = path or ("mix", "max_synthetic_share")
            yield Problem(at, error, f"at most {mix.max_synthetic_share}", "lower their ratios or raise the bound")


@rule(CHECKS, "mix")
def _filters(mix: Mix) -> Iterator[Problem]:
    for name, source in mix.sources.items():
        seen: set[tuple[str, str]] = set()
        for position, entry in enumerate(source.filters):
            path: FieldPath = ("mix", "sources", name, "filters", position)
            side = (entry.score, entry.op[0])
            if side in seen:
                error = f"a second filter of `{name}` on {entry.score} {entry.op[0]}"
                yield Problem(path, error, "one bound on each side", "merge the two")
            seen.add(side)


@rule(CHECKS, "mix", "tokenizer")
def _tokenizer(mix: Mix, tokenizer: Tokenizer) -> Iterator[Problem]:
    path: FieldPath = ("tokenizer", "trained_on")
    yield from repeated(path, tokenizer.trained_on)
    for position, name in enumerate(tokenizer.trained_on):
        if name not in mix.sources:
            yield unknown((*path, position), name, list(mix.sources), "mix.sources")


@rule(CHECKS, "split")
def _split(split: DocumentSplit) -> Iterator[Problem]:
    if split.validate_share + split.test_share >= 1:
        error = (
            f"validate_share {split.validate_share:g} and test_share {split.test_share:g} leave nothing to learn from"
        )
        yield Problem(("split", "test_share"), error, "shares that add up to less than 1", "lower one of them")


@rule(CHECKS, "model")
def _model_known(model: LanguageModel) -> Iterator[Problem]:
    """Which settings a model takes is for the model to say (`training`)."""
    if ":" not in model.kind and model.kind not in LANGUAGE_MODELS:
        guess = closest(model.kind, LANGUAGE_MODELS)
        expected = f"one of: {', '.join(LANGUAGE_MODELS)}; or module:function in the recipe's folder"
        remedy = f"write `{guess}`" if guess else "write one of them"
        yield Problem(("model", "kind"), f"no language model is called `{model.kind}`", expected, remedy)


@rule(CHECKS, "evaluation")
def _suite(evaluation: LanguageEvaluation) -> Iterator[Problem]:
    path: FieldPath = ("evaluation", "suite")
    yield from repeated(path, evaluation.suite)
    for position, name in enumerate(evaluation.suite):
        if ":" not in name and name not in TASKS:
            guess = closest(name, TASKS)
            expected = f"one of: {', '.join(TASKS)}; or module:function in the recipe's folder"
            remedy = f"write `{guess}`" if guess else "write one of them"
            yield Problem((*path, position), f"no task is called `{name}`", expected, remedy)


@rule(CHECKS, "gates", "mix")
def _gates(gates: LanguageGates, mix: Mix) -> Iterator[Problem]:
    for position, gate in enumerate(gates.thresholds):
        path: FieldPath = ("gates", "thresholds", position)
        if gate.min is None and gate.max is None:
            yield Problem(path, "a gate without a bound passes everything", "`min`, `max` or both", "add one of them")
        elif gate.min is not None and gate.max is not None and gate.min > gate.max:
            error = f"min {gate.min:g} is above max {gate.max:g}: nothing can pass"
            yield Problem((*path, "min"), error, "min at most max", "swap or correct them")
        if gate.source is not None and gate.source not in mix.sources:
            yield unknown((*path, "source"), gate.source, list(mix.sources), "mix.sources")

    champion = gates.champion
    if champion is not None and champion.source is not None and champion.source not in mix.sources:
        yield unknown(("gates", "champion", "source"), champion.source, list(mix.sources), "mix.sources")


@rule(CHECKS, "triggers", "mix")
def _upstream(triggers: LanguageTriggers, mix: Mix) -> Iterator[Problem]:
    if isinstance(triggers.upstream, bool):
        return
    path: FieldPath = ("triggers", "upstream")
    if not triggers.upstream:
        yield Problem(path, "an empty list watches nothing", "names of datasets, true or false", "write false")
    yield from repeated(path, triggers.upstream)
    used = list(dict.fromkeys(source.dataset for source in mix.sources.values()))
    for position, name in enumerate(triggers.upstream):
        if name not in used:
            yield unknown((*path, position), name, used, "mix.sources")
