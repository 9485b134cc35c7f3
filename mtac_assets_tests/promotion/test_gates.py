"""Each gate in both directions; NaN and missing evidence pass nothing."""

from __future__ import annotations

import dataclasses
import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.promotion.gates import Evidence, judge
from mtac_assets.promotion.verdict import Verdict, at_least, at_most
from mtac_assets.spec.environment import Promotion, ReproductionRule
from mtac_assets.spec.language import LanguageChampionGate, LanguageGates, LanguageThreshold
from mtac_assets.spec.recipe import BaselineGate, ChampionGate, Gates, SliceFloor, Threshold

GATES = Gates(
    thresholds=(Threshold(metric="roc_auc", min=0.6),),
    slices=(SliceFloor(column="origin", metric="roc_auc", min=0.55),),
    baseline=BaselineGate(name="hist_gradient_boosting", metric="log_loss"),
    champion=ChampionGate(metric="log_loss", alpha=0.05, min_effect=0.001),
)
RULES = Promotion(branches=("main",), require_clean=True, require_approval=True, approvers=("ada",))


def metric(value: float | None) -> dict[str, float | None]:
    return {"value": value, "low": value, "high": value}


GOOD = Evidence(
    model_id="flight_delays-0123456789ab",
    report={
        "metrics": {"roc_auc": metric(0.7), "log_loss": metric(0.4)},
        "baselines": {"hist_gradient_boosting": {"log_loss": metric(0.41)}},
        "slices": [
            {"column": "origin", "value": "EWR", "rows": 900, "small": False, "metrics": {"roc_auc": metric(0.7)}},
            {"column": "origin", "value": "HPN", "rows": 3, "small": True, "metrics": None},
        ],
        "overlap_rows": 0,
    },
    champion_id="flight_delays-ba9876543210",
    comparison={"effect": 0.01, "p_value": 0.01},
    reproduction={"verdict": "identical", "segments": "all", "environment_differences": []},
    unstamped=[],
    damaged=[],
    dirty=False,
    code_commit="c" * 40,
    branches_containing=["main"],
    actor="ada",
)


def failed(evidence: Evidence, rules: Promotion = RULES) -> list[str]:
    return [verdict.gate for verdict in judge(evidence, GATES, rules) if not verdict.passed]


def report(**changes: Any) -> dict[str, Any]:
    return {**GOOD.report, **changes}


def test_a_good_model_passes_every_gate() -> None:
    verdicts = judge(GOOD, GATES, RULES)
    assert [verdict.gate for verdict in verdicts if not verdict.passed] == []
    assert len({verdict.gate for verdict in verdicts}) == len(verdicts)


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"damaged": ["model.safetensors"]}, "integrity"),
        ({"dirty": True}, "clean_tree"),
        ({"branches_containing": ["experiment"]}, "branch"),
        ({"unstamped": ["nyc_flights/2013-03-01"]}, "data_stamps"),
        ({"report": report(overlap_rows=1)}, "leakage"),
        ({"report": report(overlap_rows=None)}, "leakage"),
        ({"report": report(metrics={"log_loss": metric(0.4)})}, "threshold:roc_auc"),
        ({"report": report(slices=[])}, "slice:origin:roc_auc"),
        ({"report": report(baselines={})}, "baseline:hist_gradient_boosting:log_loss"),
        ({"comparison": None}, "champion:log_loss"),
        ({"comparison": {"effect": 0.01, "p_value": 0.2}}, "champion:log_loss"),
        ({"comparison": {"effect": 0.0001, "p_value": 0.01}}, "champion:log_loss"),
        ({"comparison": {"effect": 0.01, "p_value": 0.01, "invalid": "trained on test rows"}}, "champion:log_loss"),
        ({"reproduction": None}, "reproduction"),
        ({"reproduction": {**(GOOD.reproduction or {}), "verdict": "different"}}, "reproduction"),
        ({"reproduction": {**(GOOD.reproduction or {}), "segments": 3}}, "reproduction"),
        ({"reproduction": {**(GOOD.reproduction or {}), "environment_differences": ["torch"]}}, "reproduction"),
        ({"actor": "mallory"}, "approval"),
    ],
)
def test_one_fault_fails_its_own_gate_and_no_other(change: dict[str, Any], gate: str) -> None:
    assert failed(dataclasses.replace(GOOD, **change)) == [gate]


@pytest.mark.parametrize(
    ("today", "allowed"), [("2026-06-30T23:59:00+00:00", True), ("2026-07-01T00:00:00+00:00", False)]
)
def test_an_approver_may_approve_until_the_end_of_the_last_day(
    monkeypatch: pytest.MonkeyPatch, today: str, allowed: bool
) -> None:
    monkeypatch.setenv("MTAC_CLOCK", today)
    rules = RULES.model_copy(update={"approvals_end": {"ada": date(2026, 6, 30)}})
    assert failed(GOOD, rules) == ([] if allowed else ["approval"])
    assert failed(dataclasses.replace(GOOD, actor="mallory"), rules) == ["approval"]


def test_the_first_champion_needs_no_comparison() -> None:
    assert failed(dataclasses.replace(GOOD, champion_id=None, comparison=None)) == []


def test_an_environment_may_ask_for_less_and_then_the_verdict_says_which_it_was() -> None:
    lax = Promotion(
        branches=("*",),
        require_clean=False,
        require_approval=False,
        reproduction=ReproductionRule(segments=3, environment="any"),
    )
    rebuilt = {"verdict": "identical", "segments": 3, "environment_differences": ["torch"]}
    evidence = dataclasses.replace(GOOD, dirty=True, branches_containing=[], actor="anyone", reproduction=rebuilt)
    assert failed(evidence, lax) == []
    verdict = next(v for v in judge(evidence, GATES, lax) if v.gate == "reproduction")
    assert verdict.evidence["segments"] == 3
    assert verdict.evidence["wanted"] == {"segments": 3, "environment": "any"}


@pytest.mark.parametrize(
    ("wanted", "replayed", "passed"),
    [
        (3, 1, False),
        (3, 2, False),
        (3, 3, True),
        (3, 4, True),
        (3, "all", True),
        (3, "whole", True),
        (1, "some", False),
        ("all", 1000, False),
        ("all", "whole", True),
    ],
)
def test_as_many_segments_are_replayed_as_the_environment_asks_for(
    wanted: Any, replayed: int | str, passed: bool
) -> None:
    rules = RULES.model_copy(update={"reproduction": ReproductionRule(segments=wanted)})
    evidence = dataclasses.replace(GOOD, reproduction={**(GOOD.reproduction or {}), "segments": replayed})
    assert failed(evidence, rules) == ([] if passed else ["reproduction"])


@pytest.mark.parametrize("bad", [math.nan, None])
def test_nan_and_none_pass_no_gate(bad: float | None) -> None:
    nothing = {"roc_auc": metric(bad), "log_loss": metric(bad)}
    slices = [{**GOOD.report["slices"][0], "metrics": nothing}]
    evidence = dataclasses.replace(
        GOOD, report=report(metrics=nothing, slices=slices), comparison={"effect": bad, "p_value": bad}
    )
    assert failed(evidence) == [
        "threshold:roc_auc",
        "slice:origin:roc_auc",
        "baseline:hist_gradient_boosting:log_loss",
        "champion:log_loss",
    ]


@given(value=st.floats(allow_nan=True) | st.none(), bound=st.floats(allow_nan=True))
def test_comparisons_agree_with_arithmetic_and_refuse_nan(value: float | None, bound: float) -> None:
    sound = value is not None and not math.isnan(value) and not math.isnan(bound)
    assert at_least(value, bound) is (sound and value is not None and value >= bound)
    assert at_most(value, bound) is (sound and value is not None and value <= bound)


def test_a_verdict_is_plain_json() -> None:
    odd = Verdict("g", False, "r", {"a": [math.nan, {"b": math.inf}]}).document()
    assert odd["evidence"] == {"a": ["nan", {"b": "inf"}]}
    assert Verdict("g", True, "r", {"a": 1}).document() == {
        "gate": "g",
        "passed": True,
        "reason": "r",
        "evidence": {"a": 1},
    }


LANGUAGE_GATES = LanguageGates(
    thresholds=(
        LanguageThreshold(metric="bits_per_byte", max=2.0),
        LanguageThreshold(metric="loss", source="prose", max=3.0),
    ),
    near_duplicates=0.01,
    share_deviation=0.01,
)
LANGUAGE = dataclasses.replace(
    GOOD,
    champion_id=None,
    comparison=None,
    report={
        "metrics": {"bits_per_byte": metric(1.9), "loss/prose": metric(2.9)},
        "overlap_rows": 0,
        "recipe": "tiny_lm",
        "training_set": "d" * 64,
        "near_duplicates": {"share": 0.005, "found": 1, "held_out": 200, "first": []},
        "mix": {"shares": {"prose": {"requested": 0.5, "achieved": 0.501, "deviation": 0.001}}},
    },
)


def test_a_language_challenger_is_compared_with_its_champion():
    gates = LanguageGates(champion=LanguageChampionGate(min_effect=0.01))
    challenger = dataclasses.replace(LANGUAGE, champion_id="tiny_lm-ba9876543210")
    for comparison, passed in (
        ({"effect": 0.02, "p_value": 0.01}, True),
        ({"effect": 0.02, "p_value": 0.06}, False),
        ({"effect": 0.001, "p_value": 0.01}, False),
        ({"invalid": "no document was held out by both models"}, False),
        (None, False),
    ):
        verdicts = judge(dataclasses.replace(challenger, comparison=comparison), gates, RULES)
        (found,) = [one for one in verdicts if one.gate == "champion:bits_per_byte"]
        assert found.passed is passed


def language_failures(**changes: Any) -> list[str]:
    evidence = dataclasses.replace(LANGUAGE, report={**LANGUAGE.report, **changes})
    return [verdict.gate for verdict in judge(evidence, LANGUAGE_GATES, RULES) if not verdict.passed]


def test_a_language_model_is_judged_by_its_sources_and_its_mix():
    assert language_failures() == []
    far = {"shares": {"prose": {"requested": 0.5, "achieved": 0.6, "deviation": 0.1}}}
    assert language_failures(mix=far) == ["mix:shares"]
    near = {"share": 0.02, "found": 4, "held_out": 200, "first": []}
    assert language_failures(near_duplicates=near) == ["mix:near_duplicates"]
    metrics = {"bits_per_byte": metric(2.1), "loss/prose": metric(math.nan)}
    assert language_failures(metrics=metrics) == ["threshold:bits_per_byte", "threshold:loss/prose"]
    assert language_failures(mix={}) == ["mix"]
    assert language_failures(overlap_rows=3) == ["leakage"]
