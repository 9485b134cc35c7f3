"""The gates: small pure functions from evidence to verdicts. Nothing is read, written or trained here.

Every gate always answers, also when it has nothing to look at: a gate that the recipe does not declare is absent, a
declared gate without its evidence fails and says what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Literal

from mtac_assets.data.mix.gates import RULES
from mtac_assets.data.mix.gates import judge as judge_mix
from mtac_assets.promotion.verdict import Verdict, at_least, at_most, shown
from mtac_assets.spec import clock
from mtac_assets.spec.environment import Promotion
from mtac_assets.spec.language import LanguageGates
from mtac_assets.spec.recipe import HIGHER_IS_BETTER, Gates


@dataclass(frozen=True)
class Evidence:
    """All that a decision looks at, read anew by the decision itself.

    `report` is the evaluation report made for this decision; `comparison` is the paired comparison with the present
    champion on the same rows (None where there is no champion); `reproduction` the newest reproduction entry of the
    ledger for this model; `stamps` names each training partition without a valid stamp; `integrity` names each file of
    the pack or the commit whose digest does not hold.
    """

    model_id: str
    report: Mapping[str, Any]
    champion_id: str | None
    comparison: Mapping[str, Any] | None
    reproduction: Mapping[str, Any] | None
    unstamped: Sequence[str]
    damaged: Sequence[str]
    dirty: bool
    code_commit: str
    branches_containing: Sequence[str]
    actor: str
    unsigned: str | None = None  # why the model's commit counts as unsigned


def judge(evidence: Evidence, gates: Gates, rules: Promotion) -> list[Verdict]:
    """Every verdict, in a fixed order. A model may go live when all of them passed."""
    return [verdict for gate in GATES_OF[type(gates)] for verdict in gate(evidence, gates, rules)]


def integrity(evidence: Evidence, gates: Gates, rules: Promotion) -> Iterator[Verdict]:
    """The pack is complete and every digest holds."""
    if evidence.damaged:
        yield Verdict("integrity", False, "digests do not hold", {"damaged": list(evidence.damaged)})
    else:
        yield Verdict("integrity", True, "every file of the pack and the commit has its digest")


def thresholds(evidence: Evidence, gates: Gates, rules: Promotion) -> Iterator[Verdict]:
    """Metrics on the test days within the recipe's bounds."""
    for rule in gates.thresholds:
        source = getattr(rule, "source", None)  # of a language model: one source's documents, or all
        name = rule.metric if source is None else f"{rule.metric}/{source}"
        metric = evidence.report["metrics"].get(name)
        yield _bounded(f"threshold:{name}", name, metric, rule.min, rule.max)


def slices(evidence: Evidence, gates: Gates, rules: Promotion) -> Iterator[Verdict]:
    """A floor that every slice large enough must keep; small slices are named, not judged."""
    for rule in gates.slices:
        name = f"slice:{rule.column}:{rule.metric}"
        found = [entry for entry in evidence.report["slices"] if entry["column"] == rule.column]
        if not found:
            yield Verdict(name, False, f"the report has no slice of {rule.column}")
            continue
        judged = [entry for entry in found if not entry["small"]]
        failing = []
        for entry in judged:
            metric = (entry["metrics"] or {}).get(rule.metric)
            if not _within(metric, rule.min, rule.max):
                failing.append({"value": entry["value"], "rows": entry["rows"], rule.metric: _value(metric)})
        numbers = {
            "min": rule.min,
            "max": rule.max,
            "judged": [entry["value"] for entry in judged],
            "too_small": [entry["value"] for entry in found if entry["small"]],
            "failing": failing,
        }
        if failing:
            yield Verdict(name, False, f"{len(failing)} of {len(judged)} slices break the bound", numbers)
        elif not judged:
            yield Verdict(name, False, "no slice has enough rows to be judged", numbers)
        else:
            yield Verdict(name, True, f"all {len(judged)} slices keep the bound", numbers)


def baseline(evidence: Evidence, gates: Gates, rules: Promotion) -> Iterator[Verdict]:
    """Better than a plain model trained on the same rows."""
    rule = gates.baseline
    if rule is None:
        return
    name = f"baseline:{rule.name}:{rule.metric}"
    own = _value(evidence.report["metrics"].get(rule.metric))
    other = _value(evidence.report["baselines"].get(rule.name, {}).get(rule.metric))
    if own is None or other is None:
        yield Verdict(name, False, "the report lacks one of the two values", {"model": own, "baseline": other})
        return
    improvement = own - other if HIGHER_IS_BETTER[rule.metric] else other - own
    numbers = {"model": own, "baseline": other, "improvement": improvement, "min_improvement": rule.min_improvement}
    passed = at_least(improvement, rule.min_improvement)
    yield Verdict(name, passed, f"{'better' if improvement > 0 else 'not better'} by {improvement:+.4f}", numbers)


def champion(evidence: Evidence, gates: Gates, rules: Promotion) -> Iterator[Verdict]:
    """Better than the champion on the same rows or documents: one-sided, paired, by what is independent, with a minimum effect."""
    rule = gates.champion
    if rule is None:
        return
    of_source = getattr(rule, "source", None)
    name = f"champion:{rule.metric}" + (f"/{of_source}" if of_source else "")
    if evidence.champion_id is None:
        yield Verdict(name, True, "there is no champion yet")
        return
    found = evidence.comparison
    numbers: dict[str, Any] = {"champion": evidence.champion_id, **rule.model_dump(exclude={"metric", "source"})}
    if found is None:
        yield Verdict(name, False, "there is a champion, and no comparison with it", numbers)
        return
    numbers |= found
    if found.get("invalid"):
        yield Verdict(name, False, found["invalid"], numbers)
        return
    if found["p_value"] is None:
        yield Verdict(name, False, f"not comparable: {found.get('reason') or 'no p-value'}", numbers)
        return
    enough = at_least(found["effect"], rule.min_effect)
    significant = at_most(found["p_value"], rule.alpha)
    if enough and significant:
        reason = f"better by {found['effect']:.4f}, p = {found['p_value']:.4f}"
    elif not enough:
        reason = f"effect {shown(found['effect'])} is not at least {rule.min_effect}"
    else:
        reason = (
            f"effect {shown(found['effect'])} may be noise: p = {shown(found['p_value'])}, not at most {rule.alpha}"
        )
    yield Verdict(name, enough and significant, reason, numbers)


def leakage(evidence: Evidence, gates: Gates, rules: Promotion) -> Iterator[Verdict]:
    """No test row is a training row."""
    overlap = evidence.report.get("overlap_rows")
    if overlap is None:
        yield Verdict("leakage", False, "the report does not say whether training and test rows overlap")
    else:
        words = "no test row was trained on" if overlap == 0 else f"{overlap} test rows were trained on"
        yield Verdict("leakage", overlap == 0, words, {"overlap_rows": overlap})


def stamps(evidence: Evidence, gates: Gates, rules: Promotion) -> Iterator[Verdict]:
    """Every partition that the model learned from has passed its contract."""
    if evidence.unstamped:
        words = f"{len(evidence.unstamped)} partitions have no valid stamp"
        yield Verdict("data_stamps", False, words, {"unstamped": list(evidence.unstamped)})
    else:
        yield Verdict("data_stamps", True, "every training partition is stamped")


def reproduction(evidence: Evidence, gates: Gates, rules: Promotion) -> Iterator[Verdict]:
    """The model was rebuilt from its commit, bit for bit, as thoroughly as the environment asks."""
    found = evidence.reproduction
    wanted = {"segments": rules.reproduction.segments, "environment": rules.reproduction.environment}
    if found is None:
        yield Verdict("reproduction", False, f"never rebuilt: mtac reproduce {evidence.model_id}", {"wanted": wanted})
        return
    numbers = {"wanted": wanted} | dict(found)
    if found["verdict"] != "identical":
        yield Verdict("reproduction", False, f"the newest rebuild was {found['verdict']}", numbers)
    elif rules.reproduction.environment == "match" and found["environment_differences"]:
        count = len(found["environment_differences"])
        yield Verdict("reproduction", False, f"rebuilt in an environment that differs in {count} fields", numbers)
    elif not _enough(found["segments"], rules.reproduction.segments):
        wanted_words = "all are" if rules.reproduction.segments == "all" else f"{rules.reproduction.segments} are"
        words = f"only {found['segments']} of the segments were replayed; {wanted_words} asked for"
        yield Verdict("reproduction", False, words, numbers)
    else:
        yield Verdict("reproduction", True, "rebuilt from its commit, bit for bit", numbers)


def _enough(replayed: str | int, wanted: Literal["all"] | int) -> bool:
    """`whole` and `all` replay every step of the training; a number counts segments."""
    if isinstance(replayed, str):
        return replayed in ("whole", "all")
    return wanted != "all" and replayed >= wanted


def source(evidence: Evidence, gates: Gates, rules: Promotion) -> Iterator[Verdict]:
    """Committed code, on a branch from which models may be promoted; signed where the environment asks for it."""
    if rules.signing.required:
        words = evidence.unsigned or "the model's commit is signed by a key on the list"
        yield Verdict("signature", evidence.unsigned is None, words, {"allowed_signers": rules.signing.allowed_signers})
    if rules.require_clean and evidence.dirty:
        yield Verdict("clean_tree", False, "the model was trained from uncommitted changes", {"dirty": True})
    else:
        words = "trained from a commit" if not evidence.dirty else "uncommitted changes are allowed here"
        yield Verdict("clean_tree", True, words, {"dirty": evidence.dirty, "code_commit": evidence.code_commit})
    on = [name for name in evidence.branches_containing if any(fnmatch(name, pattern) for pattern in rules.branches)]
    numbers = {"allowed": list(rules.branches), "containing": list(evidence.branches_containing)}
    allowed = ", ".join(rules.branches)
    if "*" in rules.branches:
        yield Verdict("branch", True, "any branch is allowed here", numbers)
    elif on:
        yield Verdict("branch", True, f"its code commit is on {', '.join(on)}", numbers)
    else:
        yield Verdict("branch", False, f"its code commit is on no branch that matches {allowed}", numbers)


def approval(evidence: Evidence, gates: Gates, rules: Promotion) -> Iterator[Verdict]:
    """A named person who may approve asks for it."""
    end = rules.approvals_end.get(evidence.actor)
    if not rules.require_approval:
        yield Verdict("approval", True, "no approval is asked for here", {"by": evidence.actor})
    elif end is not None and clock.today() > end:
        words = f"{evidence.actor} might approve until {end}; a new last day is set in promotion.approvals_end"
        yield Verdict("approval", False, words, {"by": evidence.actor, "until": end.isoformat()})
    elif not rules.approvers or evidence.actor in rules.approvers:
        yield Verdict("approval", True, f"approved by {evidence.actor}", {"by": evidence.actor})
    else:
        words = f"{evidence.actor} may not approve here"
        yield Verdict("approval", False, words, {"by": evidence.actor, "approvers": list(rules.approvers)})


def mix(evidence: Evidence, gates: LanguageGates, rules: Promotion) -> Iterator[Verdict]:
    """The mix kept its shares, and few held-out documents have a near-duplicate to train on."""
    told = evidence.report
    if not told.get("near_duplicates") or "shares" not in told.get("mix", {}):
        yield Verdict("mix", False, "the report does not say what the model's mix was")
        return
    for found in judge_mix(told, gates):
        words = "kept" if found.passed else "not kept"
        yield Verdict(f"mix:{found.name}", found.passed, f"{words}: {RULES[found.name]}", found.evidence)


Gate = Callable[..., Iterator[Verdict]]
GATES: tuple[Gate, ...] = (
    integrity,
    source,
    stamps,
    leakage,
    thresholds,
    slices,
    baseline,
    champion,
    reproduction,
    approval,
)


GATES_OF: Mapping[type, tuple[Gate, ...]] = {
    Gates: GATES,
    LanguageGates: (integrity, source, stamps, leakage, thresholds, mix, champion, reproduction, approval),
}
"""By the shape of the recipe: a language model has no slices and baselines to be judged by, but a mix."""


def _value(metric: Mapping[str, Any] | None) -> float | None:
    return None if metric is None else metric.get("value")


def _within(metric: Mapping[str, Any] | None, low: float | None, high: float | None) -> bool:
    value = _value(metric)
    return value is not None and (low is None or at_least(value, low)) and (high is None or at_most(value, high))


def _bounded(gate: str, name: str, metric: Mapping[str, Any] | None, low: float | None, high: float | None) -> Verdict:
    value = _value(metric)
    numbers = {"metric": name, "value": value, "min": low, "max": high}
    if value is None:
        return Verdict(gate, False, f"the report has no {name}", numbers)
    bounds = " and ".join(text for text, bound in ((f"≥ {low}", low), (f"≤ {high}", high)) if bound is not None)
    passed = _within(metric, low, high)
    return Verdict(gate, passed, f"{value:.4f}, {'as' if passed else 'but'} {bounds} is asked for", numbers)
