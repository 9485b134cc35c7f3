"""`mtac run --audit-cache N`: stored results made again."""

from __future__ import annotations

import json

import pytest

from mtac_assets.data.training_set import build
from mtac_assets.promotion.audit import audit
from mtac_assets.spec.load import load_recipe
from mtac_assets_tests.promotion.conftest import AS_OF, Line
from mtac_assets_tests.texts import ingest_texts, make_texts


def test_stored_results_made_again_are_the_same_and_a_forged_one_is_found(line: Line) -> None:
    run = ("run", "floods", "--as-of", AS_OF)
    many = len(list((line.project.state.features / "floods").glob("*.json")))
    first = line.mtac(*run, "--audit-cache", "3", "--audit-seed", "1")
    assert first["status"] == "unchanged"
    assert first["audit"]["seed"] == 1
    assert len(first["audit"]["audited"]) == 3
    hits = first["audit"]["hits"]
    assert 3 < hits <= many + 2

    forged = line.project.state.features / "floods" / "2024-01-05.json"
    document = json.loads(forged.read_text())
    forged.write_text(json.dumps({**document, "content_digest": "0" * 64}))
    found = line.mtac(*run, "--audit-cache", str(hits), code=1)["audit"]["audited"]
    assert {one["asset"] for one in found} == {"floods/features", "floods/training_set", "floods/model"}
    assert [one["partition"] for one in found if not one["same"]] == [forged.stem]

    refused = line.mtac(*run, "--audit-cache", str(hits + 1), code=2)
    assert f"at most {hits}" in refused["errors"][0]["expected"]


@pytest.mark.slow
def test_scores_and_the_tokeniser_of_texts_are_made_again_too(tmp_path) -> None:
    project = make_texts(tmp_path / "texts")
    ingest_texts(project)
    resolved = load_recipe(project, "small_lm")
    build(project, resolved)
    found = audit(project, resolved, 5, seed=1)
    assert found.different == ()
    assert sorted((one.hit.asset, one.hit.partition) for one in found.audited) == [
        ("small_lm/scores", "code"),
        ("small_lm/scores", "prose"),
        ("small_lm/scores", "sums"),
        ("small_lm/tokenizer", ""),
        ("small_lm/training_set", ""),
    ]
    forged = project.state.scores / "prose" / "all.json"
    document = json.loads(forged.read_text())
    forged.write_text(json.dumps({**document, "file_sha256": "0" * 64}))
    (wrong,) = audit(project, resolved, 5, seed=1).different
    assert (wrong.hit.asset, wrong.hit.partition) == ("small_lm/scores", "prose")
