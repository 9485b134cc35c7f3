"""The training set of a language model: every document accounted for, the same bits again, and faults before training."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mtac_assets.data import training_set
from mtac_assets.data.contract.stamp import Unstamped
from mtac_assets.data.mix.documents import read_documents
from mtac_assets.data.mix.errors import MixError
from mtac_assets.data.mix.folder import PARTS, TokenFolder
from mtac_assets.data.mix.stream import open_stream
from mtac_assets.data.mix.tokenizer import open_tokenizer
from mtac_assets.data.training_set import TrainingSet, TrainingSetError
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project
from mtac_assets_tests.texts import ingest_texts, make_texts


@pytest.fixture(scope="module")
def built(texts: Project) -> TrainingSet:
    return training_set.build(texts, load_recipe(texts, "small_lm"))


def test_every_document_is_in_one_part_or_left_out_by_a_named_filter(texts: Project, built: TrainingSet):
    folder = TokenFolder.open(built.folder)
    tokenizer = open_tokenizer(built.folder / "tokenizer.json", built.manifest["tokenizer"])
    for entry in built.manifest["sources"]:
        name = entry["name"]
        known = {name: text for batch in read_documents(texts.state.data, entry["dataset"]) for name, text in batch}
        index = pq.read_table(built.folder / f"documents.{name}.parquet").to_pylist()
        assert [row["document"] for row in index] == list(known)
        for row in index:
            if row["part"] in PARTS:
                tokens, places = (folder.array(row["part"], name, what) for what in ("tokens", "documents"))
                document = tokens[places[row["place"]] : places[row["place"] + 1]]
                assert document[-1] == tokenizer.end_of_text
                assert tokenizer.decode(document.tolist()) == known[row["document"]]
                size = folder.array(row["part"], name, "bytes")[row["place"]]
                assert size == len(known[row["document"]].encode())
        left_out = sum(entry["left_out"] for entry in entry["selection"]["filters"])
        assert sum(row["part"] == "left out" for row in index) == left_out
    code = next(entry for entry in built.manifest["sources"] if entry["name"] == "code")
    assert [entry["left_out"] for entry in code["selection"]["filters"]] == [1, 2]


def test_it_streams_and_achieves_the_shares(built: TrainingSet):
    stream = open_stream(built.folder, seed=7)
    manifest = built.manifest
    _, source = stream.rows(0, manifest["steps"] * manifest["batch_size"])
    for number, name in enumerate(stream.sources):
        assert int((source == number).sum()) == manifest["mix"]["shares"][name]["rows"]
        assert manifest["mix"]["shares"][name]["deviation"] < 1 / len(source)


def test_again_is_the_same_and_from_scratch_is_the_same_digest(texts: Project, built: TrainingSet, tmp_path: Path):
    again = training_set.build(texts, load_recipe(texts, "small_lm"))
    assert again.folder == built.folder
    project = make_texts(tmp_path)
    ingest_texts(project)
    other = training_set.build(project, load_recipe(project, "small_lm"))
    assert other.digest == built.digest
    files = {name: entry["sha256"] for name, entry in built.manifest["files"].items()}
    assert {name: entry["sha256"] for name, entry in other.manifest["files"].items()} == files


def test_another_ratio_is_another_set_of_the_same_tokens_by_the_same_tokeniser(texts: Project, built: TrainingSet):
    shares = ("mix.sources.prose.ratio=1/4", "mix.sources.code.ratio=5/8")
    other = training_set.build(texts, load_recipe(texts, "small_lm", shares))
    assert other.digest != built.digest
    assert other.manifest["tokenizer"] == built.manifest["tokenizer"]
    assert [entry["digest"] for entry in other.manifest["sources"]] == [
        entry["digest"] for entry in built.manifest["sources"]
    ]
    assert len(list(texts.state.tokenizers.iterdir())) == 1


def test_a_temperature_shares_by_what_is_there(texts: Project):
    none = tuple(f"mix.sources.{name}.ratio=null" for name in ("prose", "code", "sums"))
    overrides = (*none, "mix.stages=[]", "mix.temperature=1")
    built = training_set.build(texts, load_recipe(texts, "small_lm", overrides))
    rows = {entry["name"]: entry["rows"] for entry in built.manifest["sources"]}
    (stage,) = built.manifest["mix"]["stages"]
    for name, count in rows.items():
        assert abs(Fraction(stage["ratios"][name]) - Fraction(count, sum(rows.values()))) < Fraction(1, 4096)


def test_a_damaged_set_is_built_again(texts: Project):
    resolved = load_recipe(texts, "small_lm", ("mix.tokens=9000",))
    first = training_set.build(texts, resolved)
    path = first.folder / "train.code.tokens.npy"
    tokens = np.load(path)
    tokens[5] += 1
    np.save(path, tokens)
    again = training_set.build(texts, resolved)
    assert again.digest == first.digest
    assert np.load(path)[5] == tokens[5] - 1


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("mix.tokens=200000",), ["`sums` runs out", "write mix.tokens:", "max_epochs:"]),
        (
            ("mix.sources.code.filters.0.threshold=99999",),
            ["length >= 99999 keeps no document of `code`", "the median"],
        ),
        (("tokenizer.vocabulary_size=60000",), ["the texts give a vocabulary of", "write tokenizer.vocabulary_size:"]),
        (("mix.sequence_length=100000", "mix.stages=[]"), ["too few for one sequence"]),
        (("split.validate_share=0.0001",), ["no document to validate on", "`prose`", "`code`", "`sums`"]),
    ],
)
def test_what_cannot_be_is_told_before_training_and_leaves_nothing(
    texts: Project, overrides: tuple[str, ...], said: list[str]
):
    there = (
        sorted(path.name for path in texts.state.training_sets.iterdir()) if texts.state.training_sets.is_dir() else []
    )
    with pytest.raises(MixError) as caught:
        training_set.build(texts, load_recipe(texts, "small_lm", overrides))
    for part in said:
        assert part in str(caught.value)
    assert sorted(path.name for path in texts.state.training_sets.iterdir()) == there


def test_missing_and_unstamped_texts_are_refused(tmp_path: Path):
    project = make_texts(tmp_path)
    with pytest.raises(TrainingSetError, match="no texts of code, prose, sums"):
        training_set.build(project, load_recipe(project, "small_lm"))
    ingest_texts(project)
    (project.state.data / "code" / "all.stamp.json").unlink()
    with pytest.raises(Unstamped):
        training_set.build(project, load_recipe(project, "small_lm"))


def test_a_dataset_without_texts_is_told(tmp_path: Path):
    project = make_texts(tmp_path)
    folder = project.datasets()["sums"].parent
    for name in ("contract.py", "dataset.yaml"):
        path = folder / name
        path.write_text(
            path.read_text().replace(
                '"text": pa.Column("str", pa.Check.str_length(min_value=1))', '"text": pa.Column("category")'
            )
        )
    ingest_texts(project)
    with pytest.raises(MixError, match="text: category"):
        training_set.build(project, load_recipe(project, "small_lm"))


def test_near_duplicates_across_the_split_are_found_and_named(tmp_path: Path):
    source = """
import random

def documents():
    for n in range(60):
        draw = random.Random(n)
        words = [f"w{draw.randrange(3000)}" for _ in range(300)]
        yield f"a-{n:02d}", " ".join(words) + "\\\\n"
        yield f"b-{n:02d}", " ".join([*words, "again"]) + "\\\\n"
""".replace("\\\\n", "\\n")
    project = make_texts(tmp_path, prose=source)
    ingest_texts(project)
    overrides = ("mix.tokens=4000", "mix.stages=[]", "mix.sources.code.filters=[]")
    built = training_set.build(project, load_recipe(project, "small_lm", overrides))
    found = built.manifest["near_duplicates"]
    assert found["found"] >= 5
    pair = next(entry for entry in found["first"] if entry["held_out"].startswith("prose:"))
    assert pair["held_out"].split("-")[1] == pair["like"].split("-")[1]
    assert pair["held_out"] != pair["like"]
