"""Two mixes told apart, source by source."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from mtac_assets.cli import diff, output
from mtac_assets.provenance.diff import ModelDifference
from mtac_assets.provenance.identity import Change
from mtac_assets.spec.language import Mix
from mtac_assets.spec.mix_diff import WHOLE, MixChange, mix_changes

OLD: dict[str, Any] = {
    "tokens": 8000,
    "sequence_length": 16,
    "sources": {
        "prose": {"dataset": "prose", "kind": "real", "ratio": "1/2", "max_epochs": 2},
        "code": {
            "dataset": "code",
            "kind": "real",
            "ratio": "3/8",
            "filters": [{"score": "length", "op": ">=", "threshold": 20.0}],
        },
        "sums": {"dataset": "sums", "kind": "synthetic", "ratio": "1/8", "max_share": "1/4"},
    },
    "stages": [{"from_step": 40, "ratios": {"prose": "1/4", "code": "1/2", "sums": "1/4"}}],
}
NEW: dict[str, Any] = OLD | {
    "tokens": 16000,
    "sources": {
        "prose": OLD["sources"]["prose"] | {"ratio": "1/4"},
        "code": OLD["sources"]["code"] | {"filters": [{"score": "length", "op": ">=", "threshold": 40.0}]},
        "pages": {"dataset": "pages", "kind": "real", "ratio": "3/8"},
    },
    "stages": [{"from_step": 40, "ratios": {"prose": "1/4", "code": "1/2", "pages": "1/4"}}],
}


def document(mix: dict[str, Any]) -> dict[str, Any]:
    return Mix.model_validate(mix, strict=False).model_dump(mode="json")


def test_ratios_sources_and_filters_are_told_in_the_recipes_words():
    whole, code, pages, prose, sums = mix_changes(document(OLD), document(NEW))
    assert whole == MixChange(WHOLE, "changed", (("tokens", "8,000", "16,000"),))
    assert code == MixChange("code", "changed", (("filters", "length >= 20", "length >= 40"),))
    assert (pages.kind, sums.kind) == ("added", "removed")
    assert ("share from step 40", None, "1/4") in pages.fields
    assert ("largest share", "1/4", None) in sums.fields
    assert prose.fields == (("share", "1/2", "1/4"),)


def test_a_mix_does_not_differ_from_itself_nor_by_the_order_of_its_sources():
    turned = OLD | {"sources": dict(reversed(OLD["sources"].items()))}
    assert mix_changes(document(OLD), document(turned)) == ()
    assert mix_changes(None, None) == ()


def test_a_temperature_in_place_of_ratios_is_said_of_each_source():
    sources = {name: {**source, "ratio": None} for name, source in OLD["sources"].items()}
    found = mix_changes(document(OLD), document(OLD | {"sources": sources, "temperature": "2"}))
    assert [change.fields[0] for change in found] == [
        ("share", "3/8", "by size, temperature 2"),
        ("share", "1/2", "by size, temperature 2"),
        ("share", "1/8", "by size, temperature 2"),
    ]


def test_it_reads_as_a_few_lines_on_the_terminal(monkeypatch: pytest.MonkeyPatch):
    said = io.StringIO()
    monkeypatch.setattr(output, "console", lambda: Console(file=said, width=200, color_system=None))
    leaves = (
        Change("recipe.mix.sources.prose.ratio", '"1/2"', '"1/4"'),
        Change("recipe.training.seed", "7", "8"),
    )
    changes = mix_changes(document(OLD), document(NEW))
    diff.print_difference(ModelDifference("a", "b", leaves, (), (), (), {}, False, changes))
    assert said.getvalue().splitlines()[2:9] == [
        "recipe",
        "  training.seed  7 → 8",
        "  mix  ~ all sources  tokens 8,000 → 16,000",
        "  mix  ~ code  filters length >= 20 → length >= 40",
        "  mix  + pages  dataset pages; kind real; share 3/8; share from step 40 1/4; epochs at most 1",
        "  mix  ~ prose  share 1/2 → 1/4",
        "  mix  - sums  dataset sums; kind synthetic; share 1/8; share from step 40 1/4; epochs at most 1; largest share 1/4",
    ]
