"""The evaluation of a language model, on a tiny one that was trained a moment ago."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from mtac_assets.data.features_view import FeatureError
from mtac_assets.data.mix.folder import TokenFolder
from mtac_assets.evaluation.errors import EvaluationError
from mtac_assets.evaluation.language.evaluate import judge, overlap
from mtac_assets.evaluation.language.losses import DocumentLosses, document_losses, unigram_losses
from mtac_assets.evaluation.language.metrics import measure
from mtac_assets.evaluation.language.page import draw, language_page
from mtac_assets.evaluation.language.suite import TASKS, parses, tasks_of, wilson
from mtac_assets.spec.language import DocumentBootstrap, LanguageRecipe
from mtac_assets.spec.resolved import ResolvedRecipe
from mtac_assets.training.errors import PackInvalid
from mtac_assets.training.text_model import TextModel, load
from mtac_assets_tests.training.tiny_set import Job
from mtac_assets_tests.training.tiny_tokens import LANGUAGE_RECIPE, write_token_set

OWN_TASK = """
from mtac_assets.evaluation.language.suite import Item, SuiteTask


def writes():
    return SuiteTask("Writes something", 3, tuple(Item(prompt, lambda answer: bool(answer.strip())) for prompt in "ab"))
"""


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    folder = tmp_path_factory.mktemp("language")
    job = Job(folder / "out", write_token_set(folder / "set"), folder, recipe=LANGUAGE_RECIPE)
    subprocess.run(job.command(), cwd=root, env=job.environment_variables(root), check=True, timeout=120)
    return job


@pytest.fixture
def model(made: Job) -> TextModel:
    return load(made.out, made.folder)


@pytest.fixture
def folder(made: Job) -> TokenFolder:
    return TokenFolder.open(made.training_set)


def test_a_documents_loss_is_the_sum_over_its_own_tokens(model, folder):
    """Against the plain way: one stretch after another, no batches, no filling."""
    found = document_losses(model, folder, "prose")
    tokens, offsets = folder.array("test", "prose", "tokens"), folder.array("test", "prose", "documents")
    for place in (0, 7, len(found) - 1):
        document = [0, *map(int, tokens[offsets[place] : offsets[place + 1]])]
        length, nats = model.schema.sequence_length, 0.0
        for start in range(0, len(document) - 1, length):
            nats += float(model.losses(torch.tensor([document[start : start + length + 1]])).double().sum())
        assert found.nats[place] == pytest.approx(nats, rel=1e-4)
        assert found.tokens[place] == len(document) - 1


def test_it_is_better_than_the_shares_of_the_tokens(model, folder):
    losses = {source: document_losses(model, folder, source) for source in folder.sources}
    plain = unigram_losses(folder, losses, model.schema.vocabulary_size)
    assert sum(one.nats.sum() for one in losses.values()) < sum(one.nats.sum() for one in plain.values())


def test_metrics_are_sums_over_documents_with_an_interval_around():
    random = np.random.default_rng(1)
    sizes = random.integers(50, 100, 40)
    losses = {
        "a": DocumentLosses(sizes * random.normal(2, 0.2, 40), sizes, sizes * 3),
        "b": DocumentLosses(np.zeros(0), np.zeros(0, int), np.zeros(0, int)),
    }
    found = measure(losses, DocumentBootstrap(resamples=500))
    assert found["loss"]["value"] == pytest.approx(losses["a"].nats.sum() / sizes.sum())
    assert found["bits_per_byte"]["value"] == pytest.approx(found["loss"]["value"] / math.log(2) / 3)
    assert found["loss"]["low"] < found["loss"]["value"] < found["loss"]["high"]
    assert found["loss/b"] == {"value": None, "low": None, "high": None, "reason": "there is no held-out document"}


def test_greedy_writing_takes_the_likeliest_token(model):
    written = model.greedy([0, 5, 9], 3)
    with torch.inference_mode():
        first = int(model.model(torch.tensor([[0, 5, 9]]))[0, -1].argmax())
    assert written[0] == first
    assert len(written) <= 3
    assert len(model.greedy([1] * 40, 2)) <= 2  # longer than a row: the last tokens are what it sees


def test_a_test_document_that_was_learned_from_is_counted(made, folder, tmp_path):
    assert overlap(folder) == 0
    leaked = tmp_path / "set"
    leaked.mkdir()
    for path in made.training_set.iterdir():
        (leaked / path.name).write_bytes(path.read_bytes())
    tokens, offsets = folder.array("train", "sums", "tokens"), folder.array("train", "sums", "documents")
    np.save(leaked / "test.prose.tokens.npy", np.asarray(tokens[: offsets[1]]))
    np.save(leaked / "test.prose.documents.npy", np.array([0, offsets[1]]))
    assert overlap(TokenFolder.open(leaked)) == 1


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("def f(x):\n    return x\n", True),
        ("def f(x):\n    return x\n    for y in", True),
        ("def f(x):\n", False),
        ("def f(x):\n    return (\n", False),
        ("def f(x):\n\0\n", False),
    ],
)
def test_only_whole_lines_of_python_count(text, good):
    assert parses(text) is good


def test_arithmetic_is_right_by_its_first_number_alone():
    for item in TASKS["arithmetic"]().items[:5]:
        a, symbol, b, _ = item.prompt.split()
        result = int(a) + int(b) if symbol == "+" else int(a) - int(b)
        assert item.right(f" {result}\nWhat is")
        assert not item.right(f" {result}1")
        assert not item.right("no number")


@pytest.mark.parametrize("right", [0, 7, 40])
def test_the_interval_of_a_share_holds_it(right):
    low, high = wilson(right, 40)
    assert 0 <= low <= right / 40 <= high <= 1


def test_a_task_that_gives_none_is_refused_by_its_name(tmp_path):
    (tmp_path / "tasks.py").write_text("def nothing():\n    return None\n")
    with pytest.raises(EvaluationError, match="tasks:nothing gave NoneType"):
        tasks_of(["tasks:nothing"], tmp_path)
    with pytest.raises(FeatureError, match=r"tasks.py defines no function other"):
        tasks_of(["tasks:other"], tmp_path)


def test_weights_that_answer_otherwise_are_refused(made, tmp_path):
    import shutil

    other = tmp_path / "pack"
    shutil.copytree(made.out, other)
    golden = json.loads((other / "golden.json").read_text())
    golden["rows"][0]["loss"] += 0.1
    content = json.dumps(golden)
    (other / "golden.json").write_text(content)
    seal = json.loads((other / "pack.json").read_text())
    seal["files"]["golden.json"]["size"] = len(content)
    (other / "pack.json").write_text(json.dumps(seal))
    with pytest.raises(PackInvalid, match="golden row 0 has a loss of"):
        load(other, made.folder)


def test_the_page_and_the_picture_say_what_was_measured(made, folder, tmp_path):
    class Numbers:  # the tiny set's tokens have no text
        def encode(self, prompts):
            return iter([np.array([1 + ord(letter) % 60 for letter in prompt]) for prompt in prompts])

        def decode(self, tokens):
            return " ".join(map(str, tokens)) + "\n"

    (tmp_path / "tasks.py").write_text(OWN_TASK)
    asked = LANGUAGE_RECIPE | {"evaluation": {"suite": ["python_parses", "tasks:writes"]}}
    recipe = LanguageRecipe.model_validate(asked, strict=False)
    resolved = ResolvedRecipe.of(recipe, None, tmp_path, "defs/tiny", (), None)
    document, scores = judge(resolved, made.out, folder, Numbers())
    assert scores.num_rows == document["test"]["rows"] == 30
    assert list(document["suite"]) == ["python_parses", "tasks:writes"]
    own = document["suite"]["tasks:writes"]
    assert (own["title"], own["items"], own["value"]) == ("Writes something", 2, 1.0)
    whole = document | {
        "schema_version": 1, "model_id": "tiny_lm-1", "recipe": "tiny_lm", "description": "", "owner": None,
        "created_at": "2026-01-01T00:00:00", "fingerprint": "f", "weights_digest": "w", "code_commit": None,
        "environment": {"torch": "2"}, "recipe_document": resolved.document(),
    }  # fmt: skip
    page = language_page(whole)
    assert "It has learned what follows what" in page
    assert f"{document['metrics']['bits_per_byte']['value']:.3f}" in page
    assert "Writes something" in page
    assert len(document["samples"]) == 4
    for sample in document["samples"]:
        assert sample["written"].strip()
        assert f"{sample['prompt']}<strong>{sample['written']}</strong>" in page
    assert draw(whole, tmp_path) == ["bits_per_byte.svg"]
    plot = ElementTree.parse(tmp_path / "bits_per_byte.svg").getroot()
    words = [each.text for each in plot.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Bits per byte", "this model", "shares of the tokens", "all documents", *document["sources"]} <= set(words)
    nothing = {name: {"value": None, "low": None, "high": None} for name in document["metrics"]}
    assert draw(whole | {"metrics": nothing}, tmp_path / "nothing") == []
    json.dumps(document, allow_nan=False)
