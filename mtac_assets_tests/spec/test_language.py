"""The recipe of a language model: its shape, exact ratios, and every rule between its fields with its remedy."""

from __future__ import annotations

import copy
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mtac_assets.spec.language import LanguageRecipe
from mtac_assets.spec.ratios import Ratio
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.spec.shapes import checks_of, of_other_shape, recipe_model
from mtac_assets.spec.stored import StoredDocument, parse_resolved
from mtac_assets.spec.validate import validate

RATIO = TypeAdapter(Ratio)

RECIPE: dict[str, Any] = {
    "schema_version": 1,
    "name": "small_lm",
    "mix": {
        "tokens": 100_000,
        "sequence_length": 64,
        "sources": {
            "prose": {"dataset": "prose", "kind": "real", "ratio": "1/2", "max_epochs": 4},
            "code": {
                "dataset": "code",
                "kind": "real",
                "ratio": 0.375,
                "filters": [{"score": "length", "op": ">=", "threshold": 100}],
            },
            "sums": {"dataset": "sums", "kind": "synthetic", "ratio": "1/8", "max_share": "1/4"},
        },
        "stages": [{"from_step": 100, "ratios": {"prose": 0.25, "code": "1/2", "sums": "1/4"}}],
    },
    "tokenizer": {"kind": "byte_bpe", "vocabulary_size": 512, "trained_on": ["prose", "code"]},
    "split": {"validate_share": 0.1, "test_share": 0.1, "seed": 0},
    "model": {"kind": "gpt", "settings": {"layers": 2}},
    "training": {
        "seed": 1,
        "batch_size": 8,
        "micro_batch_size": 4,
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "precision": "float32",
        "device": "cpu",
        "threads": 1,
        "checkpoint_every_steps": 50,
    },
}


def findings(**changes: Any) -> list[str]:
    document = copy.deepcopy(RECIPE)
    for path, value in changes.items():
        *parts, last = path.split("__")
        inner = document
        for part in parts:
            inner = inner[int(part) if isinstance(inner, list) else part]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    stored = StoredDocument(document, "recipe")
    model = recipe_model(document)
    found = of_other_shape(stored, validate(model, stored, checks_of(model)).findings)
    return [f"{finding.where} | {finding.error} | {finding.remedy}" for finding in found]


def test_the_example_is_sound_and_keeps_its_ratios_exactly():
    assert findings() == []
    recipe = LanguageRecipe.model_validate_json(json.dumps(RECIPE))
    assert recipe.mix.sources["code"].ratio == "3/8"
    assert recipe.window is None
    assert recipe.training.epochs is None


def test_a_task_that_nobody_knows_is_answered_with_the_one_meant():
    (found,) = findings(evaluation={"suite": ["python_parse", "arithmetic", "tasks:own"]})
    assert found == "recipe (evaluation.suite.0) | no task is called `python_parse` | write `python_parses`"
    (found,) = findings(evaluation={"suite": ["arithmetic", "arithmetic"]})
    assert "evaluation.suite" in found


def test_a_resolved_recipe_of_texts_reads_back_to_itself(tmp_path: Path):
    recipe = LanguageRecipe.model_validate_json(json.dumps(RECIPE))
    resolved = ResolvedRecipe.of(recipe, None, tmp_path / "defs/small_lm", "defs/small_lm", (), None)
    again = parse_resolved(json.dumps(resolved.document()).encode(), "recipe.json", tmp_path)
    assert again.document() == resolved.document()
    assert again.language == recipe
    assert again.windows().all == ("all",)
    assert not {"features", "window", "data"} & set(resolved.identity_document())


def test_the_order_of_sources_and_the_spelling_of_a_ratio_are_no_other_recipe():
    other = copy.deepcopy(RECIPE)
    other["mix"]["sources"] = dict(reversed(other["mix"]["sources"].items()))
    other["mix"]["sources"]["code"]["ratio"] = "6/16"
    assert LanguageRecipe.model_validate_json(json.dumps(other)) == LanguageRecipe.model_validate_json(
        json.dumps(RECIPE)
    )


@given(st.fractions(min_value=0, max_value=1, max_denominator=10**8))
def test_fractions_are_exact(value: Fraction):
    assert Fraction(RATIO.validate_python(f"{value.numerator}/{value.denominator}")) == value


@given(st.integers(0, 10**9 - 1), st.integers(1, 8))
def test_decimals_are_the_digits_that_were_written(number: int, places: int):
    written = f"{number // 10**places}.{number % 10**places:0{places}d}"
    assert Fraction(RATIO.validate_python(float(written))) == Fraction(written)


@pytest.mark.parametrize("value", ["-1/2", "1/0", "0x3", "1/2/3", " 1/2", "", 1 / 3, -0.5, True, None, "3//8", 1e300])
def test_what_is_no_exact_ratio_is_refused(value: object):
    with pytest.raises(ValidationError):
        RATIO.validate_python(value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mix__sources__prose__ratio": "3/8"}, ["add up to 7/8", "write 1/2 for `prose`"]),
        ({"mix__sources__prose__ratio": None}, ["`prose` has no ratio"]),
        ({"mix__temperature": 2}, ["`prose` has a ratio, but `mix.temperature`"]),
        ({"mix__stages__0__ratios__sums": None}, ["says no share of `sums`"]),
        ({"mix__stages__0__ratios__sum": "0"}, ["`sum` is not in mix.sources", "write `sums`"]),
        ({"mix__stages__0__ratios": None}, ["says no shares"]),
        ({"mix__sources__sums__max_share": "1/10"}, ["the share 1/8, above its max_share 1/10"]),
        ({"mix__max_synthetic_share": "1/10"}, ["synthetic sources have the share 1/8"]),
        ({"tokenizer__trained_on": ["prose", "cod"]}, ["`cod` is not in mix.sources", "write `code`"]),
        ({"split__test_share": 0.9}, ["leave nothing to learn from"]),
        ({"model__kind": "gtp"}, ["no language model is called `gtp`", "write `gpt`"]),
        ({"mix__sources__code__filters__0__score": "lenght"}, ['is "lenght"', "write `length`"]),
        ({"features": {"view": "a:b"}}, ["`features` belongs to a recipe of rows"]),
        ({"training__epochs": 3}, ["unknown key `training.epochs`"]),
        ({"triggers": {"drift": {}}}, ["unknown key `triggers.drift`"]),
        ({"training__micro_batch_size": 3}, ["does not divide batch_size"]),
        ({"gates": {"thresholds": [{"metric": "loss"}]}}, ["without a bound"]),
        ({"gates": {"thresholds": [{"metric": "loss", "max": 2, "source": "proze"}]}}, ["write `prose`"]),
        ({"tokenizer__vocabulary_size": 100}, ["`tokenizer.vocabulary_size` is 100"]),
        ({"mix__sources": {}}, ["`mix.sources` is"]),
    ],
)
def test_each_fault_is_told_with_its_place_and_remedy(changes: dict[str, Any], said: list[str]):
    text = "\n".join(findings(**changes))
    for part in said:
        assert part in text


def test_all_faults_are_told_at_once():
    found = findings(mix__sources__prose__ratio="3/8", tokenizer__trained_on=["x"], model__kind="y")
    assert len(found) == 3


def test_a_denominator_that_never_repeats_is_refused():
    found = findings(
        mix__sources__prose__ratio="1/99991",
        mix__sources__code__ratio="99989/99991",
        mix__sources__sums__ratio="1/99991",
    )
    assert any("common denominator 99,991" in text for text in found)


def test_stages_stand_in_order():
    found = findings(mix__stages=[{"from_step": 9, "temperature": 1}, {"from_step": 9, "temperature": "0"}])
    assert any("begins at step 9" in text for text in found)
    assert any("a temperature of 0" in text for text in found)
