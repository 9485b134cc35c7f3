"""A recipe of texts on the command line: its plan, its mix, the sequences of a step, and where a document went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtac_assets.cli.app import run
from mtac_assets.data import training_set
from mtac_assets.spec.load import load_recipe
from mtac_assets.spec.project import Project
from mtac_assets_tests.texts import RECIPE, ingest_texts, make_texts, train_texts

pytestmark = pytest.mark.slow  # a network is trained

SMALL = RECIPE.replace("tokens: 8000", "tokens: 1000").replace("from_step: 40", "from_step: 4").replace("every_steps: 20", "every_steps: 4")  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Ingested, trained and recorded; 8 steps of a network of one layer."""
    from mtac_assets.data.versioning import version

    made = make_texts(tmp_path_factory.mktemp("texts"), SMALL)
    ingest_texts(made)
    for name in made.datasets():
        version(made, name, ["all"])
    train_texts(made)
    return made


@pytest.fixture
def ask(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(project.root)

    def asked(*arguments: str) -> tuple[int, Any]:
        code = run([*arguments, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return asked


def test_a_model_is_recorded_with_its_recipe_and_only_its_report_is_missing(ask: Any):
    code, plan = ask("plan", "small_lm")
    assert code == 0
    assert [step["asset"] for step in plan["steps"]] == ["small_lm/report"]


def test_mix_shows_what_is_built_and_says_where_nothing_is(ask: Any, project: Project):
    code, mix = ask("mix", "small_lm")
    assert code == 0
    assert mix["mix"]["tokens"] == {"requested": 1000, "planned": 1024}
    code, other = ask("mix", "small_lm", "--set", "mix.tokens=1100")
    assert code == 2
    assert "not built yet" in other["errors"][0]["error"]


def test_check_judges_a_training_by_what_is_built_and_exits_1_where_it_cannot_end_well(ask: Any, project: Project):
    sound, found = ask("check", "small_lm", "--workers", "2", "--device", "cpu")
    checks = {one["id"]: one for one in found["checks"]}
    assert (sound, found["workers"]) == (0, 2)
    manifest = training_set.build(project, load_recipe(project, "small_lm")).manifest
    available = {one["name"]: one["tokens"] for one in manifest["sources"]}
    assert checks["data.tokens"]["evidence"]["available"] == available
    code, found = ask("check", "small_lm", "--workers", "64", "--device", "h100")
    refused = {one["id"]: one["finding"] for one in found["checks"] if not one["passed"]}
    assert code == 1
    assert set(refused) == {"batch.workers", "device.kind"}
    assert all(finding["remedy"] for finding in refused.values())


def test_samples_of_a_step_and_where_their_documents_went(ask: Any):
    _, models = ask("models")
    (model_id,) = [model["model_id"] for model in models["models"]]
    code, found = ask("samples", model_id[:-6], "--step", "5")
    assert code == 0
    assert len(found["samples"]) == 8
    for one in found["samples"][:3]:
        for document in one["documents"]:
            code, used = ask("where-used", f"{one['source']}:{document}")
            assert code == 0
            (model,) = used["models"]
            assert (model["model_id"], model["part"]) == (model_id, "train")
            assert 5 in model["steps"]
            assert model["tokenizer"] == (one["source"] != "sums")
    assert ask("samples", model_id, "--step", "8")[0] == 2


def test_what_no_model_has_is_said(ask: Any):
    for asked in ("code:nobody", "nothing:code-001", "code-001", ":"):
        code, found = ask("where-used", asked)
        assert code == 2
        assert found["errors"]


def test_a_training_set_that_is_gone_is_built_again_and_one_that_cannot_be_is_told_as_unknown(
    ask: Any, project: Project
):
    import shutil

    other_id = train_texts(project, "mix.tokens=1100")
    resolved = load_recipe(project, "small_lm")
    folder = training_set.build(project, resolved).folder
    before = ask("where-used", "code:code-001")
    shutil.rmtree(folder)
    assert ask("where-used", "code:code-001") == before
    shutil.rmtree(folder)
    source = Path(project.datasets()["sums"].parent / "source.py")
    text = source.read_text()
    try:
        source.write_text(text.replace("range(80)", "range(81)"))
        ingest_texts(project)
        code, found = ask("where-used", "code:code-001")
        assert code == 1, "of one model it cannot be told"
        answers = {model["model_id"]: model for model in found["models"]}
        (unknown,) = [model["unknown"] for model in answers.values() if "unknown" in model]
        assert "today's code and data give" in unknown[0]["error"]
        assert "check out refs/mtac/models/" in unknown[0]["remedy"]
        assert answers[other_id]["part"] == "train", "of the other one it can"
    finally:
        source.write_text(text)
        ingest_texts(project)
