"""Shares as weights: exact, temperature bounded by its limits, and a source that runs out is told before training in numbers."""

from __future__ import annotations

import itertools
import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtac_assets.data.mix.errors import MixError
from mtac_assets.data.mix.shares import by_temperature, plan_mix, require_enough
from mtac_assets.spec.language import Mix

ROWS = {"a": 1000, "b": 100, "c": 10_000}


def mix(tokens: int = 64_000, stages: Any = (), temperature: Any = None, **sources: dict[str, Any]) -> Mix:
    given = {"a": {"ratio": "1/2"}, "b": {"ratio": "1/8"}, "c": {"ratio": "3/8", "kind": "synthetic"}}
    if temperature is not None:
        for source in given.values():
            del source["ratio"]
    document = {
        "tokens": tokens,
        "sequence_length": 32,
        "temperature": temperature,
        "stages": stages,
        "sources": {
            name: {"dataset": name, "kind": "real", "max_epochs": 2} | given[name] | sources.get(name, {})
            for name in given
        },
    }
    return Mix.model_validate_json(json.dumps(document))


def test_requested_and_achieved_shares_of_a_curriculum():
    stages = [{"from_step": 100, "ratios": {"a": "1/4", "b": 0, "c": 0.75}}]
    plan = plan_mix(mix(stages=stages), 10, ROWS)
    assert plan.steps == 200
    document = plan.document()
    assert document["shares"]["a"]["requested"] == "3/8"
    assert document["shares"]["b"] == {"requested": "1/16", "achieved": "1/16", "deviation": 0.0, "rows": 125}
    assert document["stages"][1]["weights"] == {"a": 1, "b": 0, "c": 3}


def test_tokens_are_rounded_up_to_whole_steps_and_said():
    plan = plan_mix(mix(tokens=64_001), 10, ROWS)
    assert plan.document()["tokens"] == {"requested": 64_001, "planned": 64_320}


def test_a_source_that_runs_out_is_told_with_the_largest_feasible_total_and_both_ways_out():
    wanted = mix()
    plan = plan_mix(wanted, 10, ROWS)
    with pytest.raises(MixError) as caught:
        require_enough(wanted, plan, ROWS)
    (finding,) = caught.value.findings
    assert "`b` runs out: 8,000 tokens are asked of it, and in 2 epochs it has 6,400" in finding.error
    assert "write mix.tokens: 51200, or mix.sources.b.max_epochs: 3" in finding.remedy
    for remedied in (mix(tokens=51_200), mix(b={"max_epochs": 3})):
        require_enough(remedied, plan_mix(remedied, 10, ROWS), ROWS)
    with pytest.raises(MixError):
        require_enough(mix(tokens=51_521), plan_mix(mix(tokens=51_521), 10, ROWS), ROWS)


@given(st.integers(20, 400), st.integers(1, 60), st.integers(1, 60))
def test_the_largest_feasible_total_is_the_largest(steps: int, a: int, b: int):
    rows = {"a": a, "b": b, "c": 10_000}
    wanted = mix(tokens=steps * 320)
    try:
        require_enough(wanted, plan_mix(wanted, 10, rows), rows)
    except MixError as error:
        remedy = error.findings[0].remedy
        if "mix.tokens" not in remedy:
            return
        most = int(remedy.split("mix.tokens: ")[1].split(",")[0])
        feasible, more = mix(tokens=most), mix(tokens=most + 1)
        require_enough(feasible, plan_mix(feasible, 10, rows), rows)
        with pytest.raises(MixError):
            require_enough(more, plan_mix(more, 10, rows), rows)


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**12), min_size=1), st.fractions(Fraction(1, 4), 50)
)
def test_a_temperature_gives_every_source_a_share_and_they_add_up(rows: dict[str, int], temperature: Fraction):
    shares = by_temperature(rows, temperature)
    assert sum(shares.values()) == 1
    assert min(shares.values()) > 0
    ordered = sorted(rows, key=lambda name: rows[name])
    for smaller, larger in itertools.pairwise(ordered):
        assert shares[smaller] <= shares[larger] + Fraction(1, 4096)


def test_a_temperature_of_one_is_by_size_and_a_high_one_is_even():
    assert by_temperature({"a": 1024, "b": 3072}, Fraction(1)) == {"a": Fraction(1, 4), "b": Fraction(3, 4)}
    even = by_temperature({"a": 10, "b": 10**9}, Fraction(10**6))
    assert abs(even["a"] - Fraction(1, 2)) < Fraction(1, 500)


def test_a_temperature_that_breaks_a_bound_is_refused_not_bent():
    with pytest.raises(MixError, match=r"has the share 0\.9") as caught:
        plan_mix(mix(temperature=1, c={"max_share": "1/2"}), 10, ROWS)
    assert "at most its max_share 1/2" in str(caught.value)
    wanted = mix(temperature=1).model_copy(update={"max_synthetic_share": "1/2"})
    with pytest.raises(MixError, match="synthetic sources"):
        plan_mix(wanted, 10, ROWS)
