"""The mix as a tree and as a picture, and the rules it is held to."""

from __future__ import annotations

from copy import deepcopy
from xml.etree import ElementTree

import pytest

from mtac_assets.data import training_set
from mtac_assets.data.mix.gates import RULES, judge, require
from mtac_assets.data.mix.tree import lines, picture
from mtac_assets.data.training_set import TrainingSet
from mtac_assets.spec.errors import CheckFailed
from mtac_assets.spec.language import LanguageGates
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project


@pytest.fixture(scope="module")
def built(texts: Project) -> TrainingSet:
    return training_set.build(texts, load_recipe(texts, "small_lm"))


def test_the_tree_tells_sizes_shares_survivors_and_digests(built: TrainingSet):
    text = "\n".join(lines(built.manifest))
    for said in (
        "small_lm  8,064 tokens (8,000 asked for) in 63 steps of 8 × 16 tokens",
        "├─ code  real  42.06% asked, 42.06% achieved  212 of",
        "│  ├─ near_duplicates <= 0: 120 kept, 2 left out",
        "│  └─ from step 40: code 1/2, prose 1/4, sums 1/4",
        built.manifest["tokenizer"]["digest"][:12],
        built.manifest["sources"][0]["digest"][:12],
    ):
        assert said in text
    assert text.splitlines()[-1].startswith("└─ near-duplicates")


def test_the_picture_is_sound_and_short_enough_to_be_shown_inline(built: TrainingSet):
    drawing = picture(built.manifest)
    assert len(ElementTree.fromstring(drawing).findall("{http://www.w3.org/2000/svg}path")) == 6
    assert len(drawing) * 4 / 3 < 940


def test_rules_pass_on_their_bound_and_fail_above_it(built: TrainingSet):
    manifest = {name: deepcopy(built.manifest[name]) for name in ("recipe", "near_duplicates", "mix")}  # as in a report
    manifest["near_duplicates"] |= {"share": 0.02, "found": 1}
    manifest["mix"]["shares"]["code"]["deviation"] = 0.01
    verdicts = judge(manifest, LanguageGates(near_duplicates=0.02, share_deviation=0.01))
    assert {verdict.name for verdict in verdicts} == set(RULES)
    assert all(verdict.passed for verdict in verdicts)
    strict = {each.name: each for each in judge(manifest, LanguageGates(near_duplicates=0.01, share_deviation=0.009))}
    assert not any(verdict.passed for verdict in strict.values())
    assert strict["shares"].evidence["source"] == "code"
    assert strict["near_duplicates"].evidence["at_most"] == 0.01
    require(manifest, LanguageGates(near_duplicates=0.02, share_deviation=0.01))
    with pytest.raises(CheckFailed) as caught:
        require(manifest, LanguageGates(near_duplicates=0.01, share_deviation=0.009))
    assert len(caught.value.findings) == 2
    assert "1 of 73 held-out documents (2.00%)" in caught.value.findings[0].error
