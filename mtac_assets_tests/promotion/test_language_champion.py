"""A challenger of texts against the champion: real tiny models, each with its own tokeniser, on the documents that both held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mtac_assets.data.mix.traced_model import traced
from mtac_assets.evaluation.language.documents import compare_documents
from mtac_assets.evaluation.launch import score_documents
from mtac_assets.evaluation.report import open_report
from mtac_assets.promotion.gates import champion as champion_gate
from mtac_assets.promotion.gather import gather
from mtac_assets.promotion.score_anew import DECISIONS
from mtac_assets.promotion.verdict import Verdict
from mtac_assets.provenance import ledger, refs
from mtac_assets.spec.errors import MtacError
from mtac_assets.spec.language import LanguageChampionGate, LanguageGates
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project
from mtac_assets_tests.texts import RECIPE, ingest_texts, make_texts, train_texts

pytestmark = pytest.mark.slow  # networks are trained

SMALL = RECIPE.replace("tokens: 8000", "tokens: 1000").replace("from_step: 40", "from_step: 4")
LONGER = ("mix.tokens=6000", "tokenizer.vocabulary_size=350", "training.learning_rate=0.01")
GATES = LanguageGates(champion=LanguageChampionGate(min_effect=0.01))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    from mtac_assets.data.versioning import version

    made = make_texts(tmp_path_factory.mktemp("texts"), SMALL)
    ingest_texts(made)
    for name in made.datasets():
        version(made, name, ["all"])
    return made


@pytest.fixture(scope="module")
def models(project: Project) -> tuple[str, str]:
    """One of 8 steps, and one of 47 with a smaller vocabulary."""
    return train_texts(project), train_texts(project, *LONGER)


def judged(project: Project, challenger: str, champion: str, gates: LanguageGates = GATES) -> Verdict:
    entry = ledger.append(
        project, "local", kind="promote", recipe="small_lm", model_id=champion, actor="ada", reason="first"
    )
    summary = refs.find_model(project, challenger)
    evidence = gather(project, summary, entry, [entry], gates, "ada")
    (verdict,) = champion_gate(evidence, gates, project.environment.promotion)
    return verdict


@pytest.fixture(scope="module")
def verdicts(project: Project, models: tuple[str, str]) -> tuple[Verdict, Verdict]:
    """Of the strong challenger against the weak champion, and the other way round."""
    weak, strong = models
    return judged(project, strong, weak), judged(project, weak, strong)


def test_the_better_one_is_told_apart_on_the_same_documents_and_the_worse_one_is_refused(project, models, verdicts):
    weak, strong = models
    better, worse = verdicts
    assert (better.gate, better.passed, worse.passed) == ("champion:bits_per_byte", True, False)
    found = better.evidence
    assert found["champion"] == weak
    assert found["excluded"] == 0
    assert found["p_value"] < 0.05 < 0.95 < worse.evidence["p_value"]
    assert found["effect"] == pytest.approx(found["value_b"] - found["value_a"])
    assert found["effect"] == pytest.approx(-worse.evidence["effect"], rel=1e-4), "each reads the other's documents"
    decisions = project.state.reports / DECISIONS
    report = open_report(decisions / strong)
    assert found["value_a"] == pytest.approx(report.metrics["bits_per_byte"]["value"])
    assert found["rows"] == report.document["test"]["rows"]
    theirs = open_report(decisions / weak)  # judged by its own training set, with its own tokeniser
    assert found["value_b"] == pytest.approx(theirs.metrics["bits_per_byte"]["value"])
    other = pq.read_table(decisions / f"{strong}-champion.parquet")
    np.testing.assert_allclose(other["nats"].to_numpy(), theirs.scores()["nats"].to_numpy(), rtol=1e-5)


def test_one_that_is_the_same_is_no_better_and_one_source_may_be_asked_about(project, models, verdicts):
    decisions = project.state.reports / DECISIONS
    own, other = (
        open_report(decisions / models[1]).scores(),
        pq.read_table(decisions / f"{models[1]}-champion.parquet"),
    )
    settings = load_recipe(project, "small_lm").language.evaluation.bootstrap
    gate = LanguageChampionGate()
    same = compare_documents(own, own.append_column("held_out", other["held_out"]), gate, settings)
    assert (same["effect"], same["p_value"]) == (0, 1)
    of_sums = compare_documents(own, other, LanguageChampionGate(source="sums"), settings)
    assert 0 < of_sums["rows"] < verdicts[0].evidence["rows"]
    assert "not scored on the same documents" in compare_documents(own, other.slice(1), gate, settings)["invalid"]


def test_documents_that_the_champion_may_have_learned_from_do_not_count(project, models, verdicts, tmp_path):
    """A champion that parted the documents another way has learned from most of the challenger's held-out ones."""
    folder = traced(project, models[0]).folder
    out = score_documents(
        project,
        load_recipe(project, "small_lm", ("split.seed=4",)),
        project.state.models / models[0],
        tokens=folder,
        documents=folder,
        out=tmp_path / "out.parquet",
    )
    other = pq.read_table(out)
    own = open_report(project.state.reports / DECISIONS / models[0]).scores()
    settings = load_recipe(project, "small_lm").language.evaluation.bootstrap
    found = compare_documents(own, other, LanguageChampionGate(), settings)
    assert found["excluded"] > found["rows"] > 0
    assert found["excluded"] + found["rows"] == verdicts[1].evidence["rows"]


def test_a_tokeniser_that_does_not_match_is_refused(project: Project, models: tuple[str, str], tmp_path: Path):
    weak, strong = (traced(project, one).folder for one in models)
    with pytest.raises(MtacError, match=r"the tokeniser \w+ is not the one that small_lm-\w+ learned with"):
        score_documents(
            project,
            load_recipe(project, "small_lm"),
            project.state.models / models[0],
            tokens=strong,
            documents=weak,
            out=tmp_path / "out.parquet",
        )
    assert not (tmp_path / "out.parquet").exists()
